"""The plugin API changes only where somebody sees it."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from artstore.core import spec
from artstore.core.registry import KINDS

SNAPSHOT: Final = Path(__file__).with_name("plugin_api.txt")
MODULES: Final = [
    importlib.import_module(f"{spec.__name__}.{module.name}")
    for module in pkgutil.iter_modules(spec.__path__)
]


def test_the_names_are_sorted_and_equal_the_committed_ones() -> None:
    # A name that goes away or comes: say so in CHANGELOG.md under "Plugin API", and here.
    assert sorted(spec.__all__) == SNAPSHOT.read_text().split()
    assert spec.__all__ == sorted(spec.__all__, key=_isort_key)


def test_everything_the_facade_imports_is_public() -> None:
    tree = ast.parse(inspect.getsource(spec))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert imported == set(spec.__all__)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_class_and_function_of_the_contracts_is_public(module: ModuleType) -> None:
    hooks = {kind.hook for kind in KINDS}
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
    }

    assert {name for name in defined if not name.startswith("_")} - hooks <= set(spec.__all__)


def _isort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as the formatter sorts them."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name

"""Laws of the source that neither a type checker nor import-linter knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.repository import ROOT, SOURCE, setup_cfg

READERS_OF_THE_ENVIRONMENT: Final = {"core/config.py", "plugins/secrets_env/backend.py"}
IMPORTED_BY_A_COMMAND: Final = """
import sys
import artstore.cli.{module}
print(*sys.modules)
"""
ONLY_FOR_SERVERS: Final = {"alembic", "sqlalchemy", "argon2", "artstore.services.admin.role"}


def test_the_environment_is_read_in_two_places_only() -> None:
    readers = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if _reads_environment(path)}

    assert readers <= READERS_OF_THE_ENVIRONMENT


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ",
        "import os\nos.getenv('A')",
        "from os import environ",
        "import os as o\no.environb",
    ],
)
def test_reading_the_environment_is_noticed(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)

    assert _reads_environment(module)


@pytest.mark.parametrize("module", ["reading", "put", "login", "user", "jwt_key", "account_care"])
def test_a_command_imports_nothing_that_only_servers_need(module: str) -> None:
    program = IMPORTED_BY_A_COMMAND.format(module=module)

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "artstore.services.admin" in run.stdout.split()
    assert not ONLY_FOR_SERVERS & set(run.stdout.split())


def test_whatever_goes_on_after_any_failure_asks_whether_it_was_cancelled() -> None:
    loops = [loop for path in SOURCE.rglob("*.py") for loop in _endless(ast.parse(path.read_text()))]

    assert len(loops) >= 6
    assert [ast.unparse(loop) for loop in loops if "end_if_cancelled" not in set(_called(loop))] == []


def test_make_check_runs_everything_that_enforces_a_rule() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert recipe is not None
    for tool in ("ruff format --check", "ruff check", "mypy", "pyright", "lint-imports"):
        assert f"$(BIN)/{tool}" in recipe[1]


def test_every_law_of_the_layers_is_a_contract() -> None:
    contracts = {
        section.removeprefix("importlinter:contract:")
        for section in setup_cfg().sections()
        if section.startswith("importlinter:contract:")
    }

    assert contracts >= {
        "layers",
        "spec-only",
        "core-inside",
        "independence",
        "services-independence",
        "pure-spec",
    }


def _reads_environment(path: Path) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    return any(name in names for name in _names(ast.parse(path.read_text())))


def _names(tree: ast.AST) -> Iterator[str]:
    """Attributes that are asked for, and names that are imported from modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _endless(tree: ast.AST) -> Iterator[ast.While]:
    """Loops of coroutines that survive any exception, and end with no queue."""
    for loop in (node for node in ast.walk(tree) if isinstance(node, ast.While)):
        if isinstance(loop.test, ast.Compare) and isinstance(loop.test.left, ast.NamedExpr):
            continue
        inside = list(ast.walk(loop))
        caught = {
            ast.unparse(node.type) for node in inside if isinstance(node, ast.ExceptHandler) and node.type
        }
        if "Exception" in caught and any(isinstance(node, ast.Await) for node in inside):
            yield loop


def _called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)

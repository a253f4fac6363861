"""The page of the plugin API, from the source of `artstore.core.spec`: its docstrings are the contract."""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Final

from artstore.core import spec
from artstore.core.spec import auth, cache, database, errors, hookspecs, provider, secrets, storage
from artstore.core.testing import (
    AtomicBatchContract,
    FaultyStorage,
    PresignerContract,
    SecretRotation,
    SecretRotationContract,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    StorageSubject,
    StrangersContract,
    UnreliableMedium,
    UnreliableMediumContract,
)

MODULES: Final[Sequence[tuple[str, ModuleType]]] = (
    ("Introducing a back end", provider),
    ("Hooks", hookspecs),
    ("Storage", storage),
    ("Secrets", secrets),
    ("Auth", auth),
    ("Metadata", database),
    ("Cache", cache),
    ("Errors", errors),
)

PROOFS: Final[Sequence[type]] = (
    StorageSubject,
    StorageContract,
    StorageConcurrencyContract,
    StorageLieContract,
    UnreliableMediumContract,
    UnreliableMedium,
    StorageBudgetContract,
    StorageCrashContract,
    StorageOpening,
    AtomicBatchContract,
    PresignerContract,
    StrangersContract,
    FaultyStorage,
    SecretRotationContract,
    SecretRotation,
)

PROOF_INTRODUCTION: Final = """\
Of `artstore.core.testing`: classes of tests that an author inherits, and what they need. The levels are
*behave*, *concurrent*, *lie* (bodies, and what is below the back end), *budget* and *crash*; the first and
the bodies are also what `artstore plugins check` runs."""

INTRODUCTION: Final = """\
Everything here is imported from `artstore.core.spec`, which is all that a plugin may import from ArtStore.
[A storage plugin in 30 minutes](../tutorial/storage-plugin.md) shows how it is used. The contracts that a
plugin must pass are classes of tests in `artstore.core.testing`."""


def page() -> Iterator[str]:
    """A part for every module, a heading for every public name."""
    yield "# Plugin API"
    yield INTRODUCTION
    for title, module in MODULES:
        source = inspect.getsource(module)
        tree = ast.parse(source)
        yield f"## {title}"
        yield markdown(ast.get_docstring(tree) or "")
        for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
            if _name(node) in spec.__all__ or _is_hook(node):
                yield from _public(node, following, source)
    yield "## Proof of a storage"
    yield PROOF_INTRODUCTION
    for proof in PROOFS:
        yield from _proof(proof)


def _proof(proof: type) -> Iterator[str]:
    """What an author declares, what is to be overridden, and what is proved."""
    node = ast.parse(textwrap.dedent(inspect.getsource(proof))).body[0]
    assert isinstance(node, ast.ClassDef)
    yield f"### `{node.name}`"
    yield markdown(ast.get_docstring(node) or "")
    for each, following in itertools.pairwise(node.body):
        match each, following:
            case ast.AnnAssign(), ast.Expr(value=ast.Constant(value=str(docstring))):
                yield f"`{ast.unparse(each)}`"
                yield markdown(docstring)
            case _:
                pass
    tests = [each.name for each in node.body if isinstance(each, ast.AsyncFunctionDef)]
    proved = [name.removeprefix("test_").replace("_", " ") for name in tests if name.startswith("test_")]
    if proved:
        yield "\n".join(f"- {claim}" for claim in proved)


def _public(node: ast.stmt, following: ast.stmt | None, source: str) -> Iterator[str]:
    yield f"### `{_name(node)}`"
    match node:
        case ast.ClassDef():
            yield from _class(node, source)
        case ast.FunctionDef():
            yield from _function(node)
        case _:
            yield f"```python\n{ast.get_source_segment(source, node)}\n```"
            match following:
                case ast.Expr(value=ast.Constant(value=str(docstring))):
                    yield markdown(docstring)
                case _:
                    pass


def _class(node: ast.ClassDef, source: str) -> Iterator[str]:
    yield f"```python\n{_outline(node, source)}\n```"
    yield markdown(ast.get_docstring(node) or "")
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("__"):
            yield f"#### `{node.name}.{each.name}`"
            yield from _function(each)


def _outline(node: ast.ClassDef, source: str) -> str:
    """The class with its fields and how it is made."""
    head = f"class {node.name}({', '.join(map(ast.unparse, node.bases))})".replace("()", "")
    fields = [
        ast.get_source_segment(source, each) or "" for each in node.body if isinstance(each, ast.AnnAssign)
    ]
    made = [
        _signature(each)
        for each in node.body
        if isinstance(each, ast.FunctionDef) and each.name == "__init__"
    ]
    return "\n    ".join([f"{head}:", *fields, *made]) if fields or made else head


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    is_property = any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)
    yield "```python\n" + ("@property\n" if is_property else "") + _signature(node) + "\n```"
    yield markdown(ast.get_docstring(node) or "")


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    definition = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{definition} {node.name}({ast.unparse(node.args)}){returns}"


def _name(node: ast.stmt) -> str:
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return node.name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _is_hook(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(decorator) == "hookspec" for decorator in node.decorator_list
    )


def markdown(docstring: str) -> str:
    """Our docstrings as Markdown: references, literal blocks, lists of arguments and errors."""
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", docstring).replace("``", "`")
    text = re.sub(r"::\n\n((?:[ ]{4}.*\n?|\n)+)", _literal_block, text + "\n")
    return re.sub(r"^(Args|Raises):\n((?:[ ]{4}.*\n?)+)", _section, text, flags=re.MULTILINE)


def _literal_block(found: re.Match[str]) -> str:
    return f":\n\n```\n{textwrap.dedent(found[1]).rstrip()}\n```\n\n"


def _section(found: re.Match[str]) -> str:
    """An entry begins without further indentation, with a name and a colon."""
    entries = re.split(r"^(?=\S)", textwrap.dedent(found[2]), flags=re.MULTILINE)
    lines = [re.sub(r"^(\w+):", r"- `\1`:", " ".join(entry.split())) for entry in entries if entry]
    return f"{found[1]}:\n\n" + "\n".join(lines) + "\n"

"""The page of modes: what a storage element allows in each, and how it goes from one to the next."""

from collections.abc import Iterator
from typing import Final

from artstore.cli.composition import make_app
from artstore.core.config import Settings
from artstore.core.http.openapi import openapi_path
from artstore.core.keys import ENDPOINTS
from artstore.core.modes import MODE_TABLE, MODES, OPERATIONS, Mode, ModeRule, Operation
from docs.generator.markdown import codes, table

INTRODUCTION: Final = """\
A storage element is in one mode. What a mode does not allow is answered with 409
[`mode-not-allowed`](errors.md#mode-not-allowed), which names the mode and the operation; a change that is not
in this table with 409 [`mode-transition-not-allowed`](errors.md#mode-transition-not-allowed). [Change the
mode](../how-to/change-the-mode.md) shows how."""


def page() -> Iterator[str]:
    """The table, and which operations of the API it is about."""
    yield "# Modes of a storage element"
    yield INTRODUCTION
    yield table(("mode", *(f"`{each}`" for each in OPERATIONS), "can go to"), map(_row, MODES))
    yield "## What the operations are"
    yield table(("in the table", "in the HTTP API"), ((f"`{each}`", _paths(each)) for each in OPERATIONS))


def _row(mode: Mode) -> list[str]:
    rule = MODE_TABLE[mode]
    allowed = [_allows(rule, each) for each in OPERATIONS]
    return [f"`{mode}`", *allowed, _next(mode) or "none, for life"]


def _allows(rule: ModeRule, operation: Operation) -> str:
    if operation == "read" and rule.reads_restored:
        return "[after a restore](../how-to/restore-from-an-archive.md)"
    return "yes" if operation in rule.operations else "no"


def _next(mode: Mode) -> str:
    rule = MODE_TABLE[mode]
    return ", ".join(
        f"`{each}` (with `reopen`)" if each in rule.reopens else f"`{each}`" for each in rule.next_modes
    )


def _paths(operation: Operation) -> str:
    endpoints = make_app("element", Settings())[ENDPOINTS].values()
    found = (each.operation for each in endpoints if each.operation.allowed_as == operation)
    return codes(f"{each.method} {openapi_path(each.path)}" for each in found)

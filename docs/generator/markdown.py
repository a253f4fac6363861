"""Tables and code in Markdown."""

import json
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a vertical bar in a cell is shown as it is."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def codes(names: Iterable[str]) -> str:
    """Names as code, one after the other."""
    return " ".join(f"`{name}`" for name in names)


def value(plain: object) -> str:
    """A value as TOML writes it, as code; nothing for ``None``."""
    return "" if plain is None else f"`{json.dumps(plain, ensure_ascii=False)}`"


def plain(docstring: str | None) -> str:
    """A docstring as one line of Markdown."""
    return " ".join((docstring or "").split()).replace("``", "`")


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|")

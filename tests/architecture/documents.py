"""The Markdown pages of this repository, and what they link to, quote and name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.architecture.repository import ROOT

PROMPT: Final = "$ "
_WRITTEN: Final = (
    "*.md",
    "docs/**/*.md",
    "src/artstore/plugins/*/README.md",
    "examples/*/*.md",
    "benchmarks/*.md",
)
_COMMENT: Final = re.compile(r"<!-- (\$ .*|Ctrl-C) -->\n?")
_PARSER: Final = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page, parsed."""

    path: Path
    links: tuple[str, ...]
    anchors: frozenset[str]
    blocks: tuple[Block, ...]
    spans: tuple[str, ...]
    """Code within text."""
    tables: tuple[tuple[str, ...], ...]
    """Of every table, the code in its first column."""

    @property
    def name(self) -> str:
        """Its path below the repository."""
        return str(self.path.relative_to(ROOT))

    def console(self) -> list[str]:
        """What is typed at a prompt, and what comes, in order."""
        return [block.text.replace("\\\n", "") for block in self.blocks if block.language == "console"]

    def commands(self) -> list[str]:
        """Everything that is to be typed: at a prompt, and as code within text."""
        lines = [line for text in self.console() for line in text.splitlines()]
        return [*(line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)), *self.spans]

    def code(self) -> list[str]:
        """All code."""
        return [*(block.text for block in self.blocks), *self.spans]


@cache
def pages() -> dict[str, Page]:
    """Every page, by its name."""
    found = sorted({path for pattern in _WRITTEN for path in ROOT.glob(pattern)})
    return {page.name: page for page in map(parse, found)}


def parse(path: Path) -> Page:
    """Read one page."""
    tokens = _PARSER.parse(path.read_text())
    inline = [child for token in tokens for child in token.children or ()]
    return Page(
        path=path,
        links=tuple(str(token.attrGet("href")) for token in inline if token.type == "link_open"),
        anchors=frozenset(_anchors(tokens)),
        blocks=tuple(_blocks(tokens)),
        spans=tuple(_spans(inline)),
        tables=tuple(_tables(tokens)),
    )


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """Comments that say what to type are taken for blocks that readers do not see."""
    for token in tokens:
        if token.type == "fence":
            yield Block(token.info.strip(), token.content)
        elif token.type == "html_block":
            for command in _COMMENT.findall(token.content):
                yield Block("console", f"{PROMPT}{command.removeprefix(PROMPT)}\n…\n")


def _spans(inline: Sequence[Token]) -> Iterator[str]:
    return (token.content for token in inline if token.type == "code_inline")


def _anchors(tokens: Sequence[Token]) -> Iterator[str]:
    """What headings can be linked as: lower case, dashes for spaces, without punctuation."""
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in content.children or ())
            yield re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _tables(tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
    first: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "tbody_open":
            first = []
        elif token.type == "tr_open":
            first += _spans(tokens[index + 2].children or ())
        elif token.type == "tbody_close":
            yield tuple(first)

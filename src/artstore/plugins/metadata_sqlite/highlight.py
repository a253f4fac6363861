"""A fragment of a found text, with the words that were looked for marked."""

from html import escape
from typing import Final

from artstore.plugins.metadata_sqlite.words import normalized, query_stems, stems_of, words

_LENGTH: Final = 200
_BEFORE: Final = 60  # of it, before the first match
_EDGE: Final = 30  # within which a space is near


def highlight(query: str, text: str) -> str | None:
    """See :meth:`artstore.core.spec.SearchIndex.highlight`."""
    wanted = frozenset(query_stems(query))
    text = normalized(text)
    for word in words(text):
        if _is_wanted(word.group(), wanted):
            return _marked(text, *_bounds(text, word.start(), word.end()), wanted)
    return None


def _is_wanted(word: str, wanted: frozenset[str]) -> bool:
    return not wanted.isdisjoint(stems_of(word))


def _bounds(text: str, first: int, last: int) -> tuple[int, int]:
    """The fragment around ``text[first:last]``: it begins and ends at a space if there is one near."""
    start = max(0, min(first - _BEFORE, len(text) - _LENGTH))
    if start > 0:
        start = text.find(" ", start, start + _EDGE) + 1 or start
    end = start + _LENGTH
    if end < len(text):
        space = text.rfind(" ", max(last, end - _EDGE), end + 1)
        end = end if space == -1 else space
    return start, min(end, len(text))


def _marked(text: str, start: int, end: int, wanted: frozenset[str]) -> str:
    pieces: list[str] = []
    position = start
    for word in words(text, start):
        if word.start() >= end:
            break
        if _is_wanted(word.group(), wanted):
            stop = min(word.end(), end)
            pieces += [
                escape(text[position : word.start()]),
                "<mark>",
                escape(text[word.start() : stop]),
                "</mark>",
            ]
            position = stop
    return "".join([*pieces, escape(text[position:end])])

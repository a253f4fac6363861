"""Words of a text and their stems, Russian and English at once."""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

import Stemmer

_WORD: Final = re.compile(r"[^\W_]+")
_PART: Final = re.compile(r"[A-ZА-ЯЁ]?[a-zа-яё]+|[A-ZА-ЯЁ]+(?![a-zа-яё])|\d+")
_RUSSIAN: Final = re.compile(r"[а-я]+")
_ENGLISH: Final = re.compile(r"[a-z]+")
_MOST_STEPS: Final = 4
"""Nobody promises that stemming comes to an end; real words need two steps."""


class _Stemmers(threading.local):
    """Snowball's stemmers keep state: no two threads may share one."""

    def __init__(self) -> None:
        self.russian: Callable[[str], str] = Stemmer.Stemmer("russian").stemWord
        self.english: Callable[[str], str] = Stemmer.Stemmer("english").stemWord


_stemmers: Final = _Stemmers()


def normalized(text: str) -> str:
    """``text`` with each letter in one code point where there is one: й may arrive as и and a breve."""
    return unicodedata.normalize("NFC", text)


def words(text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Runs of letters and digits in a normalized ``text``."""
    return _WORD.finditer(text, start)


def folded(text: str) -> str:
    """``text`` without differences of case, of ё and е, of composition and of white space."""
    return " ".join(_fold(normalized(text)).replace("\0", " ").split())


def index_stems(text: str) -> str:
    """What ``text`` is found by, separated by spaces."""
    return " ".join(stem for word in words(normalized(text)) for stem in stems_of(word.group()))


def query_stems(query: str) -> list[str]:
    """What ``query`` looks for, each once."""
    return list(dict.fromkeys(_stem(_fold(word.group())) for word in words(normalized(query))))


@lru_cache(maxsize=16_384)
def stems_of(word: str) -> tuple[str, ...]:
    """The stem of ``word`` and of its parts: AnnualReport2024 is found by annual, by report and by 2024."""
    return tuple(_stem(_fold(each)) for each in (word, *_parts(word)))


def _parts(word: str) -> list[str]:
    parts = _PART.findall(word)
    # Letters of other scripts and with accents are in no part: such a word stays whole.
    return parts if len(parts) > 1 and sum(map(len, parts)) == len(word) else []


def _fold(text: str) -> str:
    return text.casefold().replace("ё", "е")


def _stem(word: str) -> str:
    if _RUSSIAN.fullmatch(word):
        return _fixed(word, _stemmers.russian)
    if _ENGLISH.fullmatch(word):
        return _fixed(word, _stemmers.english)
    return word


def _fixed(word: str, stem: Callable[[str], str]) -> str:
    """Stemmed until nothing changes: Snowball makes "арх" of "архив" but "архив" of "архивы"."""
    for _ in range(_MOST_STEPS):
        stemmed = stem(word)
        if stemmed == word:
            break
        word = stemmed
    return word

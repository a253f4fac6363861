"""In which form values are kept to be compared: what a person takes for the same is the same."""

import hashlib
import unicodedata
from typing import Final

import rfc8785
from pydantic import JsonValue

from artstore.core.attribute_fields import MAX_FILENAME_LENGTH

MAX_INDEXED_LENGTH: Final = 200
"""Characters that are kept of a text without a limit of its own: PostgreSQL refuses long index entries."""


def fold(text: str) -> str:
    """Without case, composition of accents and the dots of ё, which Russian leaves out at will."""
    composed = unicodedata.normalize("NFC", text.casefold())
    return composed.replace("ё", "е")


def fold_filename(name: str) -> str:
    """Folding makes some letters three; the limit holds for the result, too."""
    return fold(name)[:MAX_FILENAME_LENGTH]


def fold_extension(name: str) -> str:
    """What follows the last dot of a name; empty for none and for hidden files such as ``.profile``."""
    stem, _, extension = fold_filename(name).rpartition(".")
    return extension if stem else ""


def media_type(content_type: str) -> str:
    """``type/subtype`` of a ``Content-Type``: parameters such as the character set do not matter."""
    return content_type.partition(";")[0].strip().lower()


def attribute_value(value: JsonValue) -> str:
    """Canonical JSON (RFC 8785): 1 is 1.0, and members may have any order."""
    return bounded(rfc8785.dumps(value).decode())


def bounded(text: str) -> str:
    """The text itself, or its digest when it is long: good for comparing whole values."""
    return text if len(text) <= MAX_INDEXED_LENGTH else f"sha256:{digest(text)}"


def digest(text: str) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()

"""The fields of a sidecar: their types, limits and rules."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

MAX_FILENAME_LENGTH: Final = 500
MAX_CONTENT_TYPE_LENGTH: Final = 255
MAX_DESCRIPTION_LENGTH: Final = 1000
MAX_TAGS: Final = 50
MAX_TAG_LENGTH: Final = 50
MAX_NESTING: Final = 32
"""Levels of lists and objects in one custom attribute."""

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259 section 6, RFC 7493 section 2.2)."""

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"

_SEPARATOR: Final = re.compile(r"[/\\]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
_QUOTED: Final = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*"'
_MEDIA_TYPE: Final = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;[ \t]*{_NAME}=(?:{_NAME}|{_QUOTED}))*")


def _check_filename(name: str) -> str:
    """NFC, so that one name has one spelling: macOS sends the decomposed form."""
    normal = unicodedata.normalize("NFC", _check_text(name))
    if not 1 <= len(normal) <= MAX_FILENAME_LENGTH:
        raise ValueError(f"must have 1 to {MAX_FILENAME_LENGTH} characters: shorten it")
    if _SEPARATOR.search(normal):
        raise ValueError("must be a name without a path: send what follows the last slash or backslash")
    if _CONTROL.search(normal):
        raise ValueError("contains a control character: remove it")
    if not normal.strip("."):
        raise ValueError("must not consist of dots alone: add a letter")
    return normal


def _check_text(text: str) -> str:
    """Neither NUL, which SQL engines and C programs cut at, nor what UTF-8 cannot express."""
    if "\0" in text:
        raise ValueError("contains the character U+0000: remove it")
    if not text.isascii():
        _check_encodable(text)
    return text


def _check_encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate, which is not a character: send valid UTF-8") from None


def _check_media_type(value: str) -> str:
    if not _MEDIA_TYPE.fullmatch(value):
        raise ValueError("must be a media type such as application/pdf")
    return value


def _to_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _read_moment(value: object) -> object:
    """Numbers, and digits alone, would be taken for seconds, or thousandths of them, since 1970."""
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _DATE.match(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("must be a time such as 2036-12-31T00:00:00Z")


def format_timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, always with six digits of a second, so that text order is time order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def check_members(members: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what canonical JSON (RFC 8785) cannot carry exactly.

    Numbers beyond ±(2^53 - 1), infinity and NaN are refused rather than changed: send them as text.
    """
    for name, value in members.items():
        try:
            _check_value([name, value], depth=0)
        except ValueError as error:
            raise ValueError(f"in {name[:100]!a}: {error}") from None
    return members


def _check_value(value: JsonValue, *, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (int, float)):
        _check_number(value)
    elif value is not None:
        _check_container(value, depth=depth)


def _check_number(value: float) -> None:
    """Canonical JSON writes the float 1e16 as an integer, so the bound holds for both."""
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("numbers beyond 2^53 - 1 lose digits in JSON: send it as text")


def _check_container(value: list[JsonValue] | dict[str, JsonValue], *, depth: int) -> None:
    if depth > MAX_NESTING:
        raise ValueError(f"more than {MAX_NESTING} levels: flatten it")
    if isinstance(value, dict):
        for name in value:
            _check_text(name)
    for member in value.values() if isinstance(value, dict) else value:
        _check_value(member, depth=depth + 1)


Text = Annotated[str, AfterValidator(_check_text)]
Filename = Annotated[
    str,
    AfterValidator(_check_filename),
    # Told rather than enforced by pydantic: the limit counts characters after normalisation.
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_FILENAME_LENGTH}),
]
MediaType = Annotated[
    str, StringConstraints(max_length=MAX_CONTENT_TYPE_LENGTH), AfterValidator(_check_media_type)
]
Description = Annotated[
    str, StringConstraints(max_length=MAX_DESCRIPTION_LENGTH), AfterValidator(_check_text)
]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TAG_LENGTH), AfterValidator(_check_text)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digests = dict[
    Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")],
    Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2,256}$")],
]
Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(format_timestamp, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Moment = Annotated[Timestamp, BeforeValidator(_read_moment)]
"""A time as a client says it."""

CustomAttributes = Annotated[dict[str, JsonValue], AfterValidator(check_members)]

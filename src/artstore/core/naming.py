"""Names on disk: readable by people, safe on every file system, and reversible."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

SIDECAR_SUFFIX: Final = ".attr.json"
MAX_NAME_SIZE: Final = 255
"""Bytes of UTF-8 in a name, the sidecar's included: the limit of common file systems."""

MAX_EXTENSION_SIZE: Final = 32
MAX_USERNAME_SIZE: Final = 64

_UNSAFE: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029_]+')
_LEADING_DOTS: Final = re.compile(r"^\.+")
_NAME: Final = re.compile(
    r"(?P<stem>.*)_(?P<username>[^_]*)_(?P<time>[0-9]{8}T[0-9]{6})"
    r"_(?P<file_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<extension>(?:\..*)?)"
)


@dataclass(frozen=True, slots=True)
class StorageName:
    """Where a file's data is, relative to the root."""

    directory: str
    filename: str

    @property
    def key(self) -> str:
        """Key of the data."""
        return f"{self.directory}/{self.filename}"

    @property
    def sidecar_key(self) -> str:
        """Key of the sidecar, beside the data."""
        return f"{self.key}{SIDECAR_SUFFIX}"


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a name on disk says. Stem, username and extension are as they were made safe and cut."""

    stem: str
    username: str
    created_at: datetime
    file_id: UUID
    extension: str


def storage_name(original: str, *, username: str, created_at: datetime, file_id: UUID) -> StorageName:
    """``{stem}_{username}_{YYYYMMDDTHHMMSS}_{uuid}{ext}`` in the directory of its hour of creation, UTC.

    The stem is what is cut so that the sidecar's name fits. The user name has no ``_``, so that it can
    be told from the stem.
    """
    time = created_at.astimezone(UTC)
    stem, extension = _split(unicodedata.normalize("NFC", original))
    tail = f"_{_safe_username(username)}_{_compact(time)}_{file_id}{extension}"
    room = MAX_NAME_SIZE - len(f"{tail}{SIDECAR_SUFFIX}".encode())
    return StorageName(directory=_directory(time), filename=f"{_cut(stem, room).rstrip('_ ')}{tail}")


def parse(filename: str) -> ParsedName | None:
    """What ``filename`` says, or ``None`` when :func:`storage_name` cannot have made it."""
    found = _NAME.fullmatch(filename)
    if found is None:
        return None
    try:
        created_at = datetime.fromisoformat(found["time"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return ParsedName(
        stem=found["stem"],
        username=found["username"],
        created_at=created_at,
        file_id=UUID(found["file_id"]),
        extension=found["extension"],
    )


def _split(name: str) -> tuple[str, str]:
    """Safe stem and extension. What starts with its only dot has no extension."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem.strip("."):
        return _safe(name), ""
    ending = _cut(_UNSAFE.sub("_", extension), MAX_EXTENSION_SIZE).strip()
    return _safe(stem), f".{ending}" if ending else ""


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", _LEADING_DOTS.sub("_", text))


def _safe_username(username: str) -> str:
    return _cut(_UNSAFE.sub("-", unicodedata.normalize("NFC", username)), MAX_USERNAME_SIZE) or "-"


def _cut(text: str, size: int) -> str:
    """At most ``size`` bytes of UTF-8, no character torn."""
    return text.encode()[:size].decode(errors="ignore")


def _directory(time: datetime) -> str:
    return f"{time.year:04}/{time.month:02}/{time.day:02}/{time.hour:02}"


def _compact(time: datetime) -> str:
    """ISO 8601 basic format; ``strftime`` pads years differently from platform to platform."""
    return time.replace(tzinfo=None).isoformat(timespec="seconds").replace("-", "").replace(":", "")

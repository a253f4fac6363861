"""The sidecar ``attr.json``: everything that is known of a file, stored beside its bytes."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self, TypedDict, Unpack, cast
from uuid import UUID

import orjson
import pydantic_core
import rfc8785
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from artstore.core.attribute_fields import (
    DEFAULT_CONTENT_TYPE,
    MAX_INTEGER,
    CustomAttributes,
    Description,
    Digests,
    Filename,
    MediaType,
    Sha256,
    Tags,
    Text,
    Timestamp,
    check_members,
)
from artstore.core.attributes_v1 import from_v1, to_v1
from artstore.core.spec import ContentTooLargeError, CorruptedError, UnsupportedError
from artstore.core.validation import describe, invalid_request, repeated_name

SCHEMA_VERSION: Final = "2.0"
MAX_SIDECAR_SIZE: Final = 64 * 1024
"""Bytes of a sidecar unless the element is configured otherwise."""

_PLAIN_TYPES: Final = frozenset({str, int, bool, type(None)})

RetentionPolicy = Literal["temporary", "permanent"]
FileStatus = Literal["active", "deleted"]


class _Preserving(BaseModel):
    """Keeps fields it does not know: a newer minor version wrote them, and a rewrite must not lose them.

    A field that is ``null`` is the same as one that is absent.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)

    @model_validator(mode="after")
    def _check_unknown_fields(self) -> Self:
        if self.model_extra:
            check_members(self.model_extra)
        return self


class Hold(_Preserving):
    """A reason why the file must not be removed, whatever its retention says."""

    id: Annotated[Text, Field(min_length=1)]
    reason: Text
    placed_by: Text
    placed_at: Timestamp


class Finalization(_Preserving):
    """The file is being made permanent. Nothing else changes or removes it, at most ``until`` then.

    On the element that the file is copied to, ``copy_of`` names the one that still has it.
    """

    id: UUID
    until: Timestamp
    copy_of: Text | None = None


class Retention(_Preserving):
    """How long the file is kept. Only temporary files must say when they expire."""

    policy: RetentionPolicy = "permanent"
    expires_at: Timestamp | None = None
    finalized_at: Timestamp | None = None
    finalization: Finalization | None = None
    holds: list[Hold] = []

    @model_validator(mode="after")
    def _check_expiry(self) -> Self:
        if self.policy == "temporary" and self.expires_at is None:
            raise ValueError("a temporary file needs expires_at")
        return self


class Changes(TypedDict, total=False):
    """What may change in the life of a file; everything else is fixed when it is created."""

    content_type: str
    digests: dict[str, str]
    description: str | None
    tags: list[str]
    status: FileStatus
    retention: Retention
    custom_attributes: dict[str, JsonValue]


class FileAttributes(_Preserving):
    """One sidecar, schema 2."""

    schema_version: Annotated[str, Field(pattern=r"^2\.[0-9]{1,4}$")] = SCHEMA_VERSION
    file_id: UUID
    original_filename: Filename
    storage_filename: Annotated[Text, Field(min_length=1, pattern="^[^/]*$", description="Name on disk.")]
    storage_path: Annotated[Text, Field(min_length=1, description="Directory, relative to the root.")]
    file_size: Annotated[int, Field(ge=0, le=MAX_INTEGER, description="Size in bytes.")]
    content_type: MediaType = DEFAULT_CONTENT_TYPE
    checksum: Annotated[Sha256, Field(description="SHA-256 of the data, 64 hex digits.")]
    digests: Digests = {}
    created_at: Timestamp
    updated_at: Timestamp
    created_by_id: Text
    created_by_username: Text
    created_by_fullname: Text | None = None
    description: Description | None = None
    tags: Tags = []
    version: Annotated[int, Field(ge=1, le=MAX_INTEGER, description="Raised by every change.")] = 1
    status: FileStatus = "active"
    retention: Retention = Retention()
    custom_attributes: CustomAttributes = {}

    @classmethod
    def from_json(cls, raw: bytes, *, limit: int = MAX_SIDECAR_SIZE) -> Self:
        """Read a stored sidecar, schema 1 or 2. It was valid when it was written, so a fault is damage.

        Raises:
            CorruptedError: it is larger than ``limit`` bytes, not JSON, or breaks a rule.
            UnsupportedError: it was written for another major version.
        """
        if len(raw) > limit:
            raise CorruptedError(f"the sidecar has {len(raw)} bytes, more than the limit of {limit}")
        document = _parse(raw)
        major = _major_version(document)
        if major == "1":
            raw = pydantic_core.to_json(from_v1(document))
        elif major != "2":
            version = ascii(document["schema_version"])[:40]
            raise UnsupportedError(f"the sidecar has schema version {version}; this release reads 1 and 2")
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            faults = "; ".join(f"{path}: {message}" for path, message in describe(error))
            raise CorruptedError(f"the sidecar breaks a rule: {faults}") from None

    @classmethod
    def from_storage(cls, raw: bytes, *, limit: int = MAX_SIDECAR_SIZE) -> tuple[Self, bytes]:
        """What :meth:`from_json` reads, and the canonical form of it.

        Raises:
            CorruptedError: as there, or a name is in one object twice: readers differ in which they take.
            UnsupportedError: it was written for another major version.
        """
        attributes = cls.from_json(raw, limit=limit)
        canonical = attributes._canonical()
        if canonical != raw:  # what is canonical has no name twice, and this takes longer than all before
            _require_unique_names(raw)
        return attributes, canonical

    def to_json(self, *, limit: int = MAX_SIDECAR_SIZE) -> bytes:
        """The canonical form (RFC 8785): equal attributes give equal bytes.

        Raises:
            ContentTooLargeError: it has more than ``limit`` bytes.
        """
        raw = self._canonical()
        if len(raw) > limit:
            raise ContentTooLargeError(limit=limit, what="the sidecar of the file (its attributes as JSON)")
        return raw

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hex digits."""
        return hashlib.sha256(self._canonical()).hexdigest()

    @property
    def storage_key(self) -> str:
        """Where the data is, relative to the root of the element."""
        return f"{self.storage_path}/{self.storage_filename}"

    def changed(self, *, at: datetime | None = None, **changes: Unpack[Changes]) -> Self:
        """The next version, validated. Its ``updated_at`` never goes back, even when the clock does.

        It is ``at``, or now.

        Raises:
            InvalidRequestError: a change breaks a rule.
        """
        updated_at = max(at or datetime.now(UTC), self.updated_at)
        fields = {**dict(self), **changes, "version": self.version + 1, "updated_at": updated_at}
        try:
            return self.model_validate(fields)
        except ValidationError as error:
            raise invalid_request(error, type(self)) from None

    def to_v1(self) -> tuple[dict[str, Any], list[str]]:
        """The document that the predecessor reads, and the names of the fields it has no place for."""
        return to_v1(self._document())

    def _document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def _canonical(self) -> bytes:
        """Only free-form members go through the canonicaliser, which is ten times slower than orjson, and of
        those only the ones that need it.

        The members we define are text, integers and ASCII names: sorted, orjson writes them canonically.
        """
        document = self._document()
        if self.model_extra:
            return rfc8785.dumps(document)
        for name in ("custom_attributes", "retention"):
            if not _is_plain(document[name]):
                document[name] = orjson.Fragment(rfc8785.dumps(document[name]))
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _is_plain(members: Mapping[str, Any]) -> bool:
    """Whether orjson, too, writes them canonically: ASCII names, plain floats, nothing in a container.

    Of names beyond ASCII it has another order, of other floats another form.
    """
    return all(
        name.isascii() and (type(value) in _PLAIN_TYPES or value == [] or _is_plain_float(value))
        for name, value in members.items()
    )


def _is_plain_float(value: object) -> bool:
    """Whether it has neither an exponent nor a ``.0`` to leave out: then all writers agree on its digits."""
    return isinstance(value, float) and not value.is_integer() and 1e-4 <= abs(value) < 1e15


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        document = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise CorruptedError(f"the sidecar is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise CorruptedError("the sidecar is not a JSON object")
    return cast("dict[str, Any]", document)


def _require_unique_names(raw: bytes) -> None:
    if (name := repeated_name(raw.decode())) is not None:
        raise CorruptedError(f"the sidecar breaks a rule: {ascii(name)[:100]} is there twice in one object")


def _major_version(document: Mapping[str, Any]) -> str:
    """The predecessor wrote no version at all."""
    version = document.get("schema_version", "1.0")
    return version.partition(".")[0] if isinstance(version, str) else ""

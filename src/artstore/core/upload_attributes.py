"""What a client may say of a file that it uploads: in a form, or in one header of a raw upload."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Self

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from artstore.core.attribute_fields import (
    CustomAttributes,
    Description,
    Filename,
    MediaType,
    Moment,
    Sha256,
    Tags,
    format_timestamp,
)
from artstore.core.attributes import Retention, RetentionPolicy
from artstore.core.spec import ContentTooLargeError, InvalidRequestError
from artstore.core.validation import from_request, invalid_request, require_unique_names

ATTRIBUTES_HEADER: Final = "Artstore-Attributes"
MAX_ATTRIBUTES_HEADER: Final = 8 * 1024
"""Characters of the header's value."""

DEFAULT_TTL_DAYS: Final = 30
MAX_TTL_DAYS: Final = 365

FOR_EVER: Final = Retention()

_JSON_FORM_FIELDS: Final = ("tags", "metadata")


class UploadAttributes(BaseModel):
    """What a client declares; what it leaves out is found out or has a default."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    original_filename: Annotated[Filename, Field(description="Name without a path.")]
    content_type: Annotated[MediaType | None, Field(description="Sniffed when absent.")] = None
    description: Description | None = None
    tags: Tags = []
    custom_attributes: CustomAttributes = {}
    retention_policy: RetentionPolicy = "permanent"
    ttl_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_TTL_DAYS,
            validate_default=True,
            description=f"Days that a temporary file is kept, {DEFAULT_TTL_DAYS} unless given.",
        ),
    ] = None
    expires_at: Annotated[
        Moment | None,
        Field(description="Until when a permanent file is kept, at least; for ever unless given."),
    ] = None
    checksum: Annotated[Sha256 | None, Field(description="SHA-256 the data must have.")] = None

    @field_validator("expires_at")
    @classmethod
    def _check_expiry(cls, expires_at: datetime | None, info: ValidationInfo) -> datetime | None:
        if expires_at is not None and info.data.get("retention_policy") == "temporary":
            raise ValueError("is for permanent files only: say ttl_days for a temporary one")
        return expires_at

    @field_validator("ttl_days")
    @classmethod
    def _check_ttl(cls, days: int | None, info: ValidationInfo) -> int | None:
        policy = info.data.get("retention_policy")
        if policy == "temporary":
            return days or DEFAULT_TTL_DAYS
        if policy == "permanent" and days is not None:
            raise ValueError(
                'is for temporary files only: leave it out, or send retention_policy "temporary"'
            )
        return days

    @classmethod
    def from_form(cls, fields: Mapping[str, str]) -> Self:
        """Fields of a multipart form: text, but ``tags`` and ``metadata`` (custom attributes) are JSON.

        Raises:
            InvalidRequestError: a field is malformed or unknown.
        """
        values: dict[str, Any] = {name: _form_value(name, text) for name, text in fields.items()}
        if "metadata" in values:
            values["custom_attributes"] = values.pop("metadata")
        try:
            # Not strictly: a form has no numbers, only their digits.
            return cls.model_validate(values, strict=False)
        except ValidationError as error:
            raise invalid_request(error, cls) from None

    @classmethod
    def from_header(cls, value: str) -> Self:
        """The reverse of :meth:`encode_header`.

        Raises:
            ContentTooLargeError: the value is longer than a header may be.
            InvalidRequestError: it is not base64url, not JSON, or not what the model allows, or it gives
                something twice.
        """
        _check_header_size(value)
        try:
            raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            message = "should be JSON encoded as base64url"
            raise InvalidRequestError(
                f"{ATTRIBUTES_HEADER} {message}", [(ATTRIBUTES_HEADER, message)]
            ) from None
        try:
            return from_request(cls, raw)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{ATTRIBUTES_HEADER}: {error.detail}", error.errors) from None

    def encode_header(self) -> str:
        """The value of the header: JSON as base64url without padding (RFC 4648 section 5).

        Raises:
            ContentTooLargeError: it would be longer than a header may be.
        """
        raw = self.model_dump_json(exclude_defaults=True).encode()
        value = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        _check_header_size(value)
        return value

    def retention(self, *, created_at: datetime) -> Retention:
        """How long a file created at ``created_at`` is kept.

        Raises:
            InvalidRequestError: it would have expired before it is created.
        """
        if self.expires_at is not None and self.expires_at <= created_at:
            message = f"is not in the future: it is {format_timestamp(created_at)}"
            raise InvalidRequestError(f"expires_at {message}", [("expires_at", message)])
        if self.ttl_days is None:
            return FOR_EVER if self.expires_at is None else Retention(expires_at=self.expires_at)
        return Retention(policy="temporary", expires_at=created_at + timedelta(days=self.ttl_days))


def _form_value(name: str, text: str) -> Any:
    if name not in _JSON_FORM_FIELDS:
        return text
    try:
        value = pydantic_core.from_json(text)
    except ValueError as error:
        raise InvalidRequestError(f"{name} is not JSON: {error}", [(name, f"is not JSON: {error}")]) from None
    require_unique_names(text)
    return value


def _check_header_size(value: str) -> None:
    if len(value) > MAX_ATTRIBUTES_HEADER:
        raise ContentTooLargeError(limit=MAX_ATTRIBUTES_HEADER, what=f"the header {ATTRIBUTES_HEADER}")

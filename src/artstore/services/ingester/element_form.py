"""The form (RFC 7578) in which a file travels to an element when its attributes outgrow a header."""

import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from artstore.core.http.forms import FILE_PART
from artstore.core.upload_attributes import UploadAttributes


@dataclass(frozen=True, slots=True)
class FormAround:
    """What is sent before and after the bytes of the file."""

    content_type: str
    before: bytes
    after: bytes


def form_around(attributes: UploadAttributes) -> FormAround:
    """The form with ``attributes`` as its fields."""
    boundary = secrets.token_hex(16)
    fields = [_part(boundary, name, _text(value)) for name, value in _fields(attributes).items()]
    file = _head(boundary, f'{FILE_PART}"; filename="file') + b"\r\n"
    return FormAround(
        content_type=f"multipart/form-data; boundary={boundary}",
        before=b"".join([*fields, file]),
        after=f"\r\n--{boundary}--\r\n".encode(),
    )


def _fields(attributes: UploadAttributes) -> dict[str, Any]:
    """The name goes as a field, where no quoting can change it."""
    fields = attributes.model_dump(mode="json", exclude_defaults=True)
    if "custom_attributes" in fields:
        fields["metadata"] = fields.pop("custom_attributes")
    return fields


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _part(boundary: str, name: str, value: bytes) -> bytes:
    return _head(boundary, name) + b"\r\n" + value + b"\r\n"


def _head(boundary: str, name: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'.encode()

"""Schema 1 of ``attr.json``, as the predecessor wrote it: what becomes of it, and the way back."""

from collections.abc import Mapping
from typing import Any, Final

V1_VERSION: Final = "v1_version"
"""Custom attribute that keeps the predecessor's ``version``, a free text of the client; ours counts."""

_FIELDS: Final = (
    "file_id",
    "original_filename",
    "storage_filename",
    "storage_path",
    "file_size",
    "content_type",
    "created_at",
    "updated_at",
    "created_by_id",
    "created_by_username",
    "created_by_fullname",
    "description",
    "checksum",
)
_DEFAULTS: Final[Mapping[str, Any]] = {
    "digests": {},
    "tags": [],
    "version": 1,
    "status": "active",
    "retention": {"policy": "permanent", "holds": []},
}


def from_v1(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in schema 2, not validated yet. Fields that neither schema knows carry over."""
    migrated = {name: value for name, value in document.items() if name not in ("metadata", "version")}
    attributes = dict(document.get("metadata") or {})
    if (version := document.get("version")) is not None:
        attributes.setdefault(V1_VERSION, version)
    return {**_DEFAULTS, **migrated, "schema_version": "2.0", "custom_attributes": attributes}


def to_v1(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document in schema 1, and the names of the fields whose content has no place there."""
    attributes = dict(document["custom_attributes"])
    version = attributes.pop(V1_VERSION, None)
    kept = {name: document[name] for name in _FIELDS if name in document}
    if version is not None:
        kept["version"] = version
    return {**kept, "metadata": attributes}, _lost(document)


def _lost(document: Mapping[str, Any]) -> list[str]:
    carried = {*_FIELDS, "schema_version", "custom_attributes"}
    return sorted(
        name for name in document.keys() - carried if document[name] != _DEFAULTS.get(name, _NO_DEFAULT)
    )


_NO_DEFAULT: Final = object()

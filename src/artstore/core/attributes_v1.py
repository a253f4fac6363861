"""Schema 1 of ``attr.json``, as the predecessor wrote it: what becomes of it, and the way back."""

from collections.abc import Mapping
from typing import Any, Final, cast

V1_VERSION: Final = "v1_version"
"""Custom attribute that keeps the predecessor's ``version``, a free text of the client; ours counts."""

_SHARED: Final = (
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
_ADDED: Final[Mapping[str, Any]] = {
    "digests": {},
    "tags": [],
    "version": 1,
    "status": "active",
    "retention": {"policy": "permanent", "holds": []},
}
"""What schema 2 added, as it is for every file of schema 1."""


def from_v1(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in schema 2, not validated. Fields that neither schema knows carry over."""
    migrated = dict(document)
    version = migrated.pop("version", None)
    source = "custom_attributes" if "custom_attributes" in migrated else "metadata"
    attributes: Any = migrated.pop(source, None) or {}
    if version is not None and isinstance(attributes, dict):
        attributes = {V1_VERSION: version, **cast("dict[str, Any]", attributes)}
    return {**_ADDED, **migrated, "custom_attributes": attributes, "schema_version": "2.0"}


def to_v1(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document in schema 1, and the names of the fields whose content has no place there."""
    attributes = dict(document["custom_attributes"])
    version = attributes.pop(V1_VERSION, None)
    kept = {name: document[name] for name in _SHARED if name in document}
    if version is not None:
        kept["version"] = version
    return {**kept, "metadata": attributes}, _lost(document)


def _lost(document: Mapping[str, Any]) -> list[str]:
    carried = {*_SHARED, "schema_version", "custom_attributes"}
    beyond = document.keys() - carried
    return sorted(name for name in beyond if name not in _ADDED or document[name] != _ADDED[name])

"""Sidecars of the predecessor are read as they are, and what the way back loses is said."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from artstore.core.attributes import FileAttributes, Retention
from artstore.core.spec import CorruptedError

CORPUS = sorted((Path(__file__).parents[1] / "corpora" / "attr_v1").glob("*.attr.json"))
FULL = next(path for path in CORPUS if path.name == "full.attr.json")


def document_of(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_bytes()))


@pytest.fixture(params=CORPUS, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


def test_every_old_sidecar_is_read(path: Path) -> None:
    old = document_of(path)

    new = FileAttributes.from_json(path.read_bytes())

    assert str(new.file_id) == old["file_id"]
    assert new.original_filename == old["original_filename"]
    assert new.storage_key == f"{old['storage_path']}/{old['storage_filename']}"
    assert new.checksum == old["checksum"]
    assert new.created_at == datetime.fromisoformat(old["created_at"])
    assert (new.schema_version, new.version, new.status) == ("2.0", 1, "active")
    assert new.retention == Retention(policy="permanent")


def test_a_migrated_sidecar_is_an_ordinary_one_when_it_is_written(path: Path) -> None:
    migrated = FileAttributes.from_json(path.read_bytes())

    assert FileAttributes.from_json(migrated.to_json()) == migrated


def test_the_way_back_gives_what_was_there(path: Path) -> None:
    old = document_of(path)

    back, lost = FileAttributes.from_json(path.read_bytes()).to_v1()

    times = {name: datetime.fromisoformat(old.pop(name)) for name in ("created_at", "updated_at")}
    assert {name: datetime.fromisoformat(back.pop(name)) for name in times} == times
    old["metadata"] = old["metadata"] or {}
    absent = {"schema_version", *lost, *(name for name, value in old.items() if value is None)}
    assert back == {name: value for name, value in old.items() if name not in absent}


def test_metadata_becomes_custom_attributes_and_keeps_the_old_version_text() -> None:
    migrated = FileAttributes.from_json(FULL.read_bytes())

    assert migrated.custom_attributes == {**document_of(FULL)["metadata"], "v1_version": "2.1-final"}
    assert migrated.created_by_fullname == "Петрова Ирина Сергеевна"
    assert migrated.description == "Подписанный экземпляр"
    assert migrated.created_at == datetime(2024, 2, 29, 23, 59, 59, 250000, tzinfo=UTC)


def test_metadata_named_like_the_old_version_is_not_overwritten() -> None:
    document = document_of(FULL)
    document["metadata"]["v1_version"] = "mine"

    assert FileAttributes.from_json(json.dumps(document).encode()).custom_attributes["v1_version"] == "mine"


def test_a_sidecar_with_both_old_and_new_attributes_loses_neither() -> None:
    document = document_of(FULL) | {"custom_attributes": {"colour": "red"}}

    migrated = json.loads(FileAttributes.from_json(json.dumps(document).encode()).to_json())

    assert migrated["custom_attributes"] == {"colour": "red", "v1_version": "2.1-final"}
    assert migrated["metadata"] == document["metadata"]


def test_fields_that_no_schema_knows_survive_the_migration() -> None:
    path = next(path for path in CORPUS if path.name == "unknown_field.attr.json")

    rewritten = json.loads(FileAttributes.from_json(path.read_bytes()).to_json())

    assert rewritten["scanner"] == {"model": "X1", "dpi": 600}


def test_the_way_back_names_what_it_loses() -> None:
    now = datetime.now(UTC)
    migrated = FileAttributes.from_json(FULL.read_bytes())

    changed = migrated.changed(
        tags=["a"],
        digests={"sha512": "00"},
        status="deleted",
        retention=Retention(policy="temporary", expires_at=now),
    )

    assert migrated.to_v1()[1] == []
    assert changed.to_v1()[1] == ["digests", "retention", "status", "tags", "version"]


def test_the_way_back_loses_fields_that_it_does_not_know() -> None:
    document = json.loads(FileAttributes.from_json(FULL.read_bytes()).to_json())
    document["thumbnail"] = {"width": 3}

    _, lost = FileAttributes.from_json(json.dumps(document).encode()).to_v1()

    assert lost == ["thumbnail"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("metadata", "text", "custom_attributes: "),
        ("metadata", [1], "custom_attributes: "),
        ("metadata", {"n": 2**60}, "custom_attributes: in 'n': numbers beyond"),
        ("original_filename", "a/b", "original_filename: "),
        ("checksum", "none", "checksum: "),
        ("created_at", "2024-01-05T08:15:00", "created_at: should have timezone info"),
    ],
)
def test_an_old_sidecar_that_breaks_a_rule_is_corrupted_and_says_how(
    field: str, value: object, message: str
) -> None:
    raw = json.dumps(document_of(FULL) | {field: value}).encode()

    with pytest.raises(CorruptedError, match=message):
        FileAttributes.from_json(raw)

"""Sidecars that were written once are read for ever, and writing them again loses nothing in them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artstore.core.attributes import FileAttributes, Hold
from artstore.core.spec import ArtStoreError, CorruptedError

CORPORA: Final = Path(__file__).parents[1] / "corpora"
MANIFEST: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = json.loads(
    (CORPORA / "manifest.json").read_bytes()
)
GOOD: Final = [(folder, name) for folder in ("attr_v1", "attr_v2") for name in MANIFEST[folder]]
V2: Final = list(MANIFEST["attr_v2"])
BAD: Final = list(MANIFEST["attr_bad"])
WRITTEN_BY_OTHERS: Final = {
    "defaults_left_out.attr.json",
    "nulls_and_spaces.attr.json",
    "other_spelling.attr.json",
}
TRUNCATED: Final = ("full.attr.json", "emoji.attr.json", "floats_and_nesting.attr.json")
CHANGED: Final = ("tags", "version", "updated_at", "retention")


def raw_of(folder: str, name: str) -> bytes:
    return (CORPORA / folder / name).read_bytes()


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def document(raw: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(raw))


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


def test_the_corpus_is_what_it_was() -> None:
    found = {
        folder: {path.name: sha256(path.read_bytes()) for path in (CORPORA / folder).glob("*.json")}
        for folder in MANIFEST
    }

    assert found == {
        folder: {name: entry["sha256"] for name, entry in entries.items()}
        for folder, entries in MANIFEST.items()
    }
    assert len(GOOD) > 25
    assert len(BAD) > 35


@pytest.mark.parametrize(("folder", "name"), GOOD)
def test_every_sidecar_is_read_to_the_same_canonical_form(folder: str, name: str) -> None:
    attributes, canonical = FileAttributes.from_storage(raw_of(folder, name))

    assert sha256(canonical) == MANIFEST[folder][name]["canonical"] == attributes.digest
    assert attributes.to_json() == canonical


@pytest.mark.parametrize(("folder", "name"), GOOD)
def test_what_is_written_again_is_read_again_and_stays_the_same(folder: str, name: str) -> None:
    first = FileAttributes.from_json(raw_of(folder, name))

    again = FileAttributes.from_json(first.to_json())

    assert again.to_json() == first.to_json()


@pytest.mark.parametrize("name", V2)
def test_what_we_wrote_is_canonical(name: str) -> None:
    raw = raw_of("attr_v2", name)

    assert (FileAttributes.from_json(raw).to_json() == raw) == (name not in WRITTEN_BY_OTHERS)


@pytest.mark.parametrize("name", [name for name in V2 if name != "limits.attr.json"])
def test_a_change_loses_nothing_at_any_level(name: str) -> None:
    raw = raw_of("attr_v2", name)
    before = FileAttributes.from_json(raw)
    hold = Hold(id="new", reason="r", placed_by="p", placed_at=before.created_at)
    holds = [*before.retention.holds, hold]

    after = before.changed(tags=["new"], retention=before.retention.model_copy(update={"holds": holds}))

    was, now = document(before.to_json()), document(after.to_json(limit=2**20))
    assert without(now, *CHANGED) == without(was, *CHANGED)
    assert without(now["retention"], "holds") == without(was["retention"], "holds")
    assert now["retention"]["holds"][:-1] == was["retention"]["holds"]


def test_a_newer_minor_version_stays_what_it_is() -> None:
    raw = raw_of("attr_v2", "newer_minor.attr.json")

    changed = document(FileAttributes.from_json(raw).changed(description="new").to_json())

    assert changed["schema_version"] == "2.7"
    assert changed["signature"] == {"alg": "ed25519", "value": "AAAA"}
    assert changed["retention"]["review_at"] == "2030-01-01"


@pytest.mark.parametrize("name", BAD)
def test_every_bad_sidecar_is_refused_and_it_is_said_why(name: str) -> None:
    expected = MANIFEST["attr_bad"][name]

    with pytest.raises(ArtStoreError) as caught:
        FileAttributes.from_storage(raw_of("attr_bad", name))

    assert caught.value.code == expected["error"]
    assert expected["told"] in caught.value.detail
    assert len(caught.value.detail) < 1000


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_sidecar_that_is_cut_anywhere_is_damage(name: str) -> None:
    raw = raw_of("attr_v2", name)

    for length in range(len(raw)):
        with pytest.raises(CorruptedError):
            FileAttributes.from_json(raw[:length])


@given(st.sampled_from(TRUNCATED), st.data())
def test_one_wrong_byte_is_read_as_something_else_or_refused_but_never_crashes(
    name: str, data: st.DataObject
) -> None:
    raw = bytearray(raw_of("attr_v2", name))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    try:
        attributes, canonical = FileAttributes.from_storage(bytes(raw))
    except ArtStoreError:
        return
    assert FileAttributes.from_json(canonical) == attributes

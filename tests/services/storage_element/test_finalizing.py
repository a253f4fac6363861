"""What one element does when a temporary file becomes permanent, in place or by a copy."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import FormData

from artstore.core.attributes import FileAttributes, Retention
from artstore.core.ids import new_file_id
from artstore.core.modes import MODES, Mode, Operation, allowed_operations
from artstore.core.naming import storage_name
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.harness import (
    MINT,
    Answer,
    ElementClient,
    StartElement,
    lose_catalog,
    sha256,
)
from tests.services.storage_element.test_collection import QUIET, collect, removed

CONTENT = b"content" * 20_000


async def take(element: ElementClient, file_id: str, step: str, finalization: str, **more: Any) -> Answer:
    """One step of a finalization."""
    order = {"finalization_id": finalization, "step": step, **more}
    return await element.request("POST", f"/api/v1/files/{file_id}/finalization", json=order)


async def taken(element: ElementClient, file_id: str, step: str, finalization: str, **more: Any) -> Any:
    """One step, which must succeed; the attributes after it."""
    answer = await take(element, file_id, step, finalization, **more)
    assert answer.status == 200, answer
    return answer.json()["attributes"]


def copy_of(attributes: dict[str, Any], *, finalization: str, **changes: Any) -> dict[str, Any]:
    """The sidecar with which a copy comes from elsewhere."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    mark = {"id": finalization, "until": until, "copy_of": "se-far"}
    return {**attributes, "retention": {**attributes["retention"], "finalization": mark}, **changes}


async def put_copy(element: ElementClient, sidecar: dict[str, Any], content: bytes = CONTENT) -> Answer:
    """Send a copy."""
    form = FormData(quote_fields=False)
    form.add_field("attributes", json.dumps(sidecar))
    form.add_field("file", content, filename="file")
    return await element.request("PUT", f"/api/v1/files/{sidecar['file_id']}/copy", data=form)


@pytest.fixture
def finalization() -> str:
    return str(uuid4())


@pytest.fixture
def elsewhere() -> dict[str, Any]:
    """The sidecar of a temporary file that another element has."""
    now, file_id = datetime.now(UTC), new_file_id()
    name = storage_name("report.bin", username="anna", created_at=now, file_id=file_id)
    attributes = FileAttributes(
        file_id=file_id,
        original_filename="report.bin",
        storage_filename=name.filename,
        storage_path=name.directory,
        file_size=len(CONTENT),
        checksum=sha256(CONTENT),
        created_at=now,
        updated_at=now,
        created_by_id="1",
        created_by_username="anna",
        retention=Retention(policy="temporary", expires_at=now + timedelta(days=1)),
    )
    sidecar: dict[str, Any] = json.loads(attributes.to_json())
    return sidecar


async def test_in_place_one_sidecar_makes_a_file_permanent(element: ElementClient, finalization: str) -> None:
    before = await element.stored(CONTENT, retention_policy="temporary", tags=["t"])

    after = await taken(element, before["file_id"], "finish", finalization)

    assert after["retention"]["policy"] == "permanent"
    assert "expires_at" not in after["retention"]
    assert after["retention"]["finalized_at"]
    changed = {"version", "updated_at", "retention"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert after["version"] == 2
    assert await element.download(before["file_id"]) == CONTENT


async def test_what_was_finished_survives_the_loss_of_the_catalog(
    start: StartElement, tmp_path: Path, finalization: str
) -> None:
    async with start() as element:
        file_id = (await element.stored(retention_policy="temporary"))["file_id"]
        after = await taken(element, file_id, "finish", finalization)
    lose_catalog(tmp_path)

    async with start() as element:
        assert await element.get(f"/api/v1/files/{file_id}") == after


async def test_a_step_that_is_repeated_changes_nothing(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]

    for step in ("begin", "finish"):
        once = await taken(element, file_id, step, finalization)
        assert await taken(element, file_id, step, finalization) == once


async def test_a_file_that_is_being_finalized_is_not_changed_or_deleted(
    element: ElementClient, finalization: str
) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    await taken(element, file_id, "begin", finalization)

    changed = await element.request("PATCH", f"/api/v1/files/{file_id}", json={"description": "new"})
    deleted = await element.request("DELETE", f"/api/v1/files/{file_id}")

    assert [changed.status, deleted.status] == [409, 409]
    assert changed.problem == deleted.problem == "being-finalized"
    assert await element.download(file_id) == b"content"


async def test_a_mark_that_is_forgotten_ends_by_itself(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await taken(element, file_id, "begin", finalization, until=past)

    deleted = await element.request("DELETE", f"/api/v1/files/{file_id}")

    assert deleted.status == 200


async def test_a_cancelled_file_is_as_it_was(element: ElementClient, finalization: str) -> None:
    before = await element.stored(retention_policy="temporary")
    await taken(element, before["file_id"], "begin", finalization)

    after = await taken(element, before["file_id"], "cancel", finalization)

    assert after["retention"] == before["retention"]
    answer = await element.request("DELETE", f"/api/v1/files/{before['file_id']}")
    assert answer.status == 200


async def test_only_the_finalization_that_has_marked_a_file_ends_it(
    element: ElementClient, finalization: str
) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    marked = await taken(element, file_id, "begin", finalization)
    other = str(uuid4())

    assert await taken(element, file_id, "cancel", other) == marked
    finished = await take(element, file_id, "finish", other)
    removed = await take(element, file_id, "remove", other, version=marked["version"])

    assert [finished.problem, removed.problem] == ["precondition-failed"] * 2


async def test_a_permanent_file_is_not_marked(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored())["file_id"]

    answer = await take(element, file_id, "begin", finalization)

    assert answer.problem == "precondition-failed"


async def test_a_source_of_another_version_is_not_removed_once_its_mark_has_ended(
    element: ElementClient, finalization: str
) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    marked = await taken(element, file_id, "begin", finalization, until=past)

    answer = await take(element, file_id, "remove", finalization, version=marked["version"] - 1)

    assert answer.problem == "precondition-failed"
    assert await element.download(file_id) == b"content"


async def test_a_source_that_was_copied_is_removed(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    marked = await taken(element, file_id, "begin", finalization)

    removed = await taken(element, file_id, "remove", finalization, version=marked["version"])

    assert removed["status"] == "deleted"
    assert await element.file_ids() == []


async def test_a_held_source_is_not_removed(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    marked = await taken(element, file_id, "begin", finalization)
    holds = f"/api/v1/files/{file_id}/holds"
    placed = await element.request("POST", holds, json={"id": "case-7", "reason": "lawsuit"})
    assert placed.status == 201

    kept = await take(element, file_id, "remove", finalization, version=marked["version"])
    await element.request("DELETE", f"{holds}/case-7")
    removed = await take(element, file_id, "remove", finalization, version=marked["version"])

    assert kept.problem == "retention-active"
    assert removed.status == 200


@pytest.mark.parametrize("end", ["finish", "cancel"])
async def test_a_file_that_expires_while_it_is_finalized_stays(
    start: StartElement, finalization: str, end: str
) -> None:
    clock = FakeClock()
    async with start(clock=clock, element={"collection": QUIET}) as element:
        file_id = (await element.stored(retention_policy="temporary", ttl_days=1))["file_id"]
        await taken(element, file_id, "begin", finalization)
        clock.advance(days=3)

        kept = await collect(element)
        await taken(element, file_id, end, finalization)
        clock.advance(days=30)
        afterwards = await collect(element)

        assert removed(kept) == {}
        assert removed(afterwards) == ({} if end == "finish" else {"expired": 1})
        assert await element.file_ids() == ([file_id] if end == "finish" else [])


async def test_a_file_that_was_to_become_permanent_is_never_collected_although_its_mark_has_ended(
    start: StartElement, finalization: str
) -> None:
    clock = FakeClock()
    async with start(clock=clock, element={"collection": QUIET}) as element:
        file_id = (await element.stored(retention_policy="temporary", ttl_days=1))["file_id"]
        await taken(element, file_id, "begin", finalization)
        clock.advance(days=400)

        kept = await collect(element)

        assert kept["found"]["expired"]["found"] == 0
        assert await element.download(file_id) == b"content"


async def test_data_that_are_elsewhere_are_not_kept_to_be_undeleted(
    start: StartElement, elsewhere: dict[str, Any], finalization: str
) -> None:
    async with start(element={"collection": {**QUIET, "removal_delay": 1}}) as element:
        source = (await element.stored(CONTENT, retention_policy="temporary"))["file_id"]
        marked = await taken(element, source, "begin", finalization)
        await put_copy(element, copy_of(elsewhere, finalization=finalization))

        await taken(element, source, "remove", finalization, version=marked["version"])
        await taken(element, elsewhere["file_id"], "cancel", finalization)

        assert all(path.name.endswith(".attr.json") for path in await element.placed_files())


NEEDED: dict[str, Operation] = {"begin": "delete", "finish": "update", "cancel": "update", "remove": "delete"}
"""What the mode must allow for each step."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", NEEDED)
async def test_a_step_is_taken_in_the_modes_that_allow_what_it_does(
    start: StartElement, tmp_path: Path, finalization: str, mode: Mode, step: str
) -> None:
    async with start() as element:
        file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    identity = tmp_path / "storage/element.json"
    identity.write_text(identity.read_text().replace('"edit"', f'"{mode}"'))

    async with start(element={"mode": mode}) as element:
        answer = await take(element, file_id, step, finalization)

        is_refused = answer.status == 409 and answer.problem == "mode-not-allowed"
        assert is_refused is (NEEDED[step] not in allowed_operations(mode))
        if is_refused:
            assert f"mode {mode}, which does not allow {NEEDED[step]}" in answer.json()["detail"]


@pytest.mark.parametrize(
    "more",
    [
        {"until": "2026-11-26T00:00:00"},
        {"until": "9999-12-31T23:59:59-12:00"},
        {"until": "0001-01-01T00:00:00+12:00"},
        {"version": 0},
        {"version": 2**53 - 1},
        {"holds": [{"id": "", "reason": "r", "placed_by": "anna", "placed_at": "2026-11-26T00:00:00Z"}]},
    ],
    ids=["no zone", "after all times", "before all times", "no version", "no version after it", "no hold"],
)
async def test_a_step_that_no_sidecar_could_tell_of_is_refused(
    element: ElementClient, finalization: str, more: dict[str, Any]
) -> None:
    before = await element.stored(retention_policy="temporary")

    for step in ("begin", "finish"):
        answer = await take(element, before["file_id"], step, finalization, **more)
        assert answer.problem == "invalid-request"

    assert await element.get(f"/api/v1/files/{before['file_id']}") == before


async def test_steps_need_a_scope_of_their_own(element: ElementClient, finalization: str) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]
    token = MINT(scope="storage:read storage:write storage:delete storage:admin")

    answer = await element.request(
        "POST",
        f"/api/v1/files/{file_id}/finalization",
        json={"finalization_id": finalization, "step": "finish"},
        token=token,
    )

    assert answer.status == 403
    assert "storage:finalize" in answer.json()["detail"]


@pytest.mark.parametrize("content", [b"", b"small", CONTENT], ids=["empty", "small", "large"])
async def test_a_copy_has_everything_that_the_file_had(
    element: ElementClient, finalization: str, content: bytes
) -> None:
    stored = await element.stored(content, retention_policy="temporary", tags=["t"])
    file_id = str(uuid4())
    unknown = {"of_a_newer_release": {"kept": [1, "two"]}}
    sidecar = copy_of(stored, finalization=finalization, file_id=file_id, version=7, **unknown)

    answer = await put_copy(element, sidecar, content)

    assert answer.status == 201, answer
    said = await element.get(f"/api/v1/files/{file_id}")
    place = {"storage_filename", "retention"}
    assert {k: v for k, v in said.items() if k not in place} == {
        k: v for k, v in sidecar.items() if k not in place
    }
    assert said["retention"]["finalization"]["copy_of"] == "se-far"
    assert file_id in said["storage_filename"]
    assert await element.download(file_id) == content


async def test_what_a_sidecar_says_of_its_place_elsewhere_is_not_followed(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    place = {"storage_path": "../..", "storage_filename": "element.json"}

    answer = await put_copy(element, copy_of(elsewhere, finalization=finalization, **place))

    assert answer.status == 201, answer
    assert answer.json()["attributes"]["storage_path"] == elsewhere["storage_path"]
    assert answer.json()["attributes"]["storage_filename"] == elsewhere["storage_filename"]


async def test_a_copy_that_is_not_what_its_sidecar_says_is_not_stored(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    sidecar = copy_of(elsewhere, finalization=finalization)

    other = await put_copy(element, sidecar, b"X" + CONTENT[1:])
    shorter = await put_copy(element, sidecar, CONTENT[:-1])

    assert [other.problem, shorter.problem] == ["checksum-mismatch", "incomplete-body"]
    await element.assert_nothing_kept()


async def test_a_copy_that_comes_again_is_recognised_and_its_sidecar_replaced(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    first = await put_copy(element, copy_of(elsewhere, finalization=finalization))
    again = await put_copy(element, copy_of(elsewhere, finalization=finalization, version=3, tags=["new"]))
    other = await put_copy(element, copy_of(elsewhere, finalization=finalization), b"Y" + CONTENT[1:])

    assert [first.status, again.status, other.status] == [201, 200, 422]
    said = await element.get(f"/api/v1/files/{elsewhere['file_id']}")
    assert (said["tags"], said["version"]) == (["new"], 3)


async def test_a_copy_does_not_take_the_place_of_another_file(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    assert (await element.put(b"other", file_id=elsewhere["file_id"])).status == 201

    answer = await put_copy(element, copy_of(elsewhere, finalization=finalization))

    assert answer.problem == "already-exists"


async def test_a_copy_that_is_not_finished_is_held_at_its_source_only(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    held = {"id": "case-6", "reason": "lawsuit", "placed_by": "anna", "placed_at": elsewhere["created_at"]}
    source = {**elsewhere, "retention": {**elsewhere["retention"], "holds": [held]}}
    await put_copy(element, copy_of(source, finalization=finalization))
    holds = f"/api/v1/files/{elsewhere['file_id']}/holds"

    placed = await element.request("POST", holds, json={"id": "case-7", "reason": "lawsuit"})
    released = await element.request("DELETE", f"{holds}/case-6")

    assert [placed.problem, released.problem] == ["being-finalized"] * 2
    assert (await element.get(holds))["items"] == [held]


async def test_a_file_is_finished_with_what_holds_it_at_its_source(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    hold = {"reason": "lawsuit", "placed_by": "anna", "placed_at": elsewhere["created_at"]}
    first, second = {**hold, "id": "case-7"}, {**hold, "id": "case-8"}
    file_id = elsewhere["file_id"]
    await put_copy(element, copy_of(elsewhere, finalization=finalization))

    once = await taken(element, file_id, "finish", finalization, version=3, holds=[first])
    again = await taken(element, file_id, "finish", finalization, version=3, holds=[first])
    risen = await taken(element, file_id, "finish", finalization, version=3, holds=[second])

    assert once["retention"]["holds"] == [first]
    assert again == once
    assert risen["retention"]["holds"] == [first, second]
    assert risen["version"] == 4


@pytest.mark.parametrize("mode", ["edit", "rw"])
async def test_a_copy_that_was_cancelled_is_gone_and_may_come_again(
    start: StartElement, elsewhere: dict[str, Any], finalization: str, mode: str
) -> None:
    file_id = elsewhere["file_id"]
    async with start(element={"mode": mode}) as element:
        await put_copy(element, copy_of(elsewhere, finalization=finalization))

        await taken(element, file_id, "cancel", finalization)

        assert await element.file_ids() == []
        assert all(path.name.endswith(".attr.json") for path in await element.placed_files())
        again = await put_copy(element, copy_of(elsewhere, finalization=str(uuid4()), version=5))
        assert again.status == 201
        assert sha256(await element.download(file_id)) == elsewhere["checksum"]


async def test_a_finished_copy_is_permanent_and_is_not_cancelled(
    element: ElementClient, elsewhere: dict[str, Any], finalization: str
) -> None:
    file_id = elsewhere["file_id"]
    await put_copy(element, copy_of(elsewhere, finalization=finalization))

    finished = await taken(element, file_id, "finish", finalization, version=9)
    cancelled = await taken(element, file_id, "cancel", finalization)

    assert finished["version"] == 9
    assert "finalization" not in finished["retention"]
    assert cancelled == finished
    repeated = await put_copy(
        element, copy_of(elsewhere, finalization=finalization, version=10, tags=["late"])
    )
    assert repeated.status == 200
    late = repeated.json()["attributes"]
    assert (late["tags"], late["retention"]) == (["late"], finished["retention"])
    risen = await taken(element, file_id, "finish", finalization, version=12)
    assert (risen["version"], risen["retention"]) == (12, finished["retention"])


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        ("no json", "is no sidecar"),
        ("{}", "is no sidecar"),
        (None, "must be the sidecar of this file"),
    ],
)
async def test_a_copy_without_a_fitting_sidecar_is_refused(
    element: ElementClient, elsewhere: dict[str, Any], sidecar: str | None, reason: str
) -> None:
    form = FormData(quote_fields=False)
    form.add_field("attributes", sidecar or json.dumps(elsewhere))
    form.add_field("file", CONTENT, filename="file")

    answer = await element.request("PUT", f"/api/v1/files/{elsewhere['file_id']}/copy", data=form)

    assert answer.problem == "invalid-request"
    assert reason in answer.json()["detail"]
    await element.assert_nothing_kept()


async def test_an_element_that_is_full_takes_no_copy(
    start: StartElement, elsewhere: dict[str, Any], finalization: str
) -> None:
    everything = {"fraction": 0.9999, "size": 2**60}
    full = {"capacity": dict.fromkeys(("warning", "critical", "full"), everything)}
    async with start(element=full) as element:
        answer = await put_copy(element, copy_of(elsewhere, finalization=finalization))

        assert answer.problem == "insufficient-storage"
        await element.assert_nothing_kept()


async def test_simultaneous_steps_of_one_file_come_one_after_the_other(
    element: ElementClient, finalization: str
) -> None:
    file_id = (await element.stored(retention_policy="temporary"))["file_id"]

    answers = await asyncio.gather(*(take(element, file_id, "finish", finalization) for _ in range(8)))

    assert {answer.status for answer in answers} == {200}
    assert {answer.json()["attributes"]["version"] for answer in answers} == {2}

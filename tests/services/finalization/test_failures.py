"""What goes wrong on the way from temporary to permanent: it is tried again, or undone and told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults import fault_proxy
from tests.services.admin.harness import eventually, sql_in
from tests.services.finalization.harness import (
    AT_ONCE,
    CONTENT,
    SCHEDULED,
    Finalizing,
    end_mark_in,
    finish,
    rewrite_sidecar,
    start_elements,
    start_finalizing,
)
from tests.services.ingester.harness import MIB
from tests.services.roles import Roles

FEW: Final = {"finalization_attempts": 2}
"""Attempts: the second failure is the last."""


def data_file(finalizing: Finalizing, element_id: str) -> Path:
    """The only data that an element has."""
    (path,) = [path for path in finalizing.kept(element_id) if not path.name.endswith(".attr.json")]
    return path


def flip_a_bit(path: Path) -> None:
    """What a disk does that nobody looks at."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def scheduled(finalizing: Finalizing, **attributes: Any) -> tuple[str, str]:
    """A file whose source is to be removed one day, and its finalization."""
    file_id = await finalizing.temporary(CONTENT, **attributes)
    said = await finalizing.started(file_id)
    await finalizing.reaches(said["finalization_id"], SCHEDULED)
    return file_id, said["finalization_id"]


async def test_a_damaged_source_is_not_copied_and_is_kept(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, admin=FEW)
    file_id = await finalizing.temporary(CONTENT)
    before = await finalizing.sidecar(file_id, finalizing.elements[0])
    assert before is not None
    flip_a_bit(data_file(finalizing, "se-edit"))
    damaged = data_file(finalizing, "se-edit").read_bytes()

    said = await finalizing.started(file_id)
    said = await finalizing.reaches(said["finalization_id"], "rolled_back")

    assert "se-edit" in said["error"]
    assert said["checksum_verified"] is False
    after = await finalizing.sidecar(file_id, finalizing.elements[0])
    assert after is not None
    assert after["retention"] == before["retention"]
    assert data_file(finalizing, "se-edit").read_bytes() == damaged
    assert finalizing.kept("se-rw") == []
    assert await roles.metric(finalizing.admin, "artstore_finalizations_total", outcome="failed") == 1


async def test_a_target_that_is_full_is_given_up_after_some_attempts(roles: Roles) -> None:
    everything = {"fraction": 0.9999, "size": 2**60}
    full = {"capacity": dict.fromkeys(("warning", "critical", "full"), everything)}
    elements = [
        *await start_elements(roles, "edit"),
        await roles.start_element("se-full", element={"mode": "rw", **full}),
    ]
    finalizing = await start_finalizing(roles, elements, admin=FEW)
    file_id = await finalizing.temporary(CONTENT)
    before = await finalizing.sidecar(file_id, elements[0])
    assert before is not None

    said = await finalizing.started(file_id, json={"element_id": "se-full"})
    said = await finalizing.reaches(said["finalization_id"], "rolled_back")

    assert "se-full does not take the copy" in said["error"]
    assert "no room" in said["error"]
    assert "after 2 attempts" in said["error"]
    await finalizing.assert_untouched(file_id, CONTENT, before)
    await finalizing.started(file_id, json={"element_id": "se-edit"})
    await finalizing.assert_permanent(file_id, CONTENT, elements[0])


async def test_what_one_element_does_not_take_goes_to_the_next(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, modes=["edit", "rw", "rw"])
    file_id = await finalizing.temporary(CONTENT)
    first = finalizing.elements[1]
    await first.stop()
    identity = roles.data / "storage/se-rw/element.json"
    identity.write_text(identity.read_text().replace('"rw"', '"ro"'))
    await first.start()

    said = await finalizing.started(file_id)  # admin may not know the mode yet
    said = await finalizing.reaches(said["finalization_id"], SCHEDULED)

    assert said["target_element_id"] == "se-rw-1"
    await finalizing.assert_permanent(file_id, CONTENT, finalizing.elements[2])


@pytest.mark.parametrize("place", [0, 1], ids=["source", "target"])
async def test_a_connection_that_breaks_in_the_middle_is_tried_again(roles: Roles, place: int) -> None:
    elements = await start_elements(roles, "edit", "rw")
    broken = elements[place]
    async with fault_proxy(broken.url) as proxy:
        finalizing = await start_finalizing(
            roles, elements, urls={broken.settings.element.element_id: proxy.url}, admin=AT_ONCE
        )
        file_id = await finalizing.temporary(CONTENT)
        proxy.cut_request_after = proxy.cut_response_after = MIB

        said = await finalizing.started(file_id)

        async def has_failed() -> bool:
            return bool((await finalizing.look(said["finalization_id"]))["attempts"] > 1)

        await eventually(has_failed)
        waiting = await finalizing.look(said["finalization_id"])
        proxy.heal()
        await finalizing.reaches(said["finalization_id"], "completed", is_hurried=True)

        assert waiting["status"] == "copying"
        assert broken.settings.element.element_id in waiting["error"]
        await finalizing.assert_permanent(file_id, CONTENT, elements[1])


async def test_a_target_that_stays_away_is_given_up_and_undone_when_it_is_back(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, admin=FEW)
    source, target = finalizing.elements
    file_id = await finalizing.temporary(CONTENT)
    before = await finalizing.sidecar(file_id, source)
    assert before is not None
    await target.stop()

    said = await finalizing.started(file_id, json={"element_id": "se-rw"}, key="k-1")
    failed = await finalizing.reaches(said["finalization_id"], "failed")
    assert await finalizing.content(file_id, source) == CONTENT
    await target.start()
    await finalizing.hurry()
    undone = await finalizing.reaches(said["finalization_id"], "rolled_back")

    assert "se-rw" in failed["error"]
    assert undone["error"] == failed["error"]
    await finalizing.assert_untouched(file_id, CONTENT, before)
    again = await finalizing.started(file_id, key="k-1")
    await finalizing.reaches(again["finalization_id"], SCHEDULED)
    await finalizing.assert_permanent(file_id, CONTENT, target)


async def test_while_its_source_is_away_a_file_is_not_accepted(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    source, target = finalizing.elements
    file_id = await finalizing.temporary(CONTENT)
    await source.stop()

    refused = await finalizing.finalize(file_id, key="k-1")
    await source.start()
    accepted = await finalizing.started(file_id, key="k-1")
    await finalizing.reaches(accepted["finalization_id"], SCHEDULED)

    assert refused.status == 503
    assert "se-edit" in refused.json()["detail"]
    await finalizing.assert_permanent(file_id, CONTENT, target)


async def test_while_admin_is_away_nothing_is_accepted(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    file_id = await finalizing.temporary(CONTENT)
    said = await finalizing.started(file_id)
    token = await roles.token()
    await finalizing.admin.stop()

    asked = await finalizing.finalize(file_id, token=token)
    looked = await roles.request(
        "GET", f"{finalizing.ingester.url}/api/v1/finalizations/{said['finalization_id']}", token=token
    )
    await finalizing.admin.start()

    assert [asked.status, looked.status] == [503, 503]
    await finalizing.reaches(said["finalization_id"], SCHEDULED)


async def test_what_changed_the_source_before_the_switch_is_carried_over(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    source, target = elements
    async with fault_proxy(target.url) as proxy:
        finalizing = await start_finalizing(roles, elements, urls={"se-rw": proxy.url})
        file_id = await finalizing.temporary(CONTENT, tags=["old"])
        proxy.cut_response_after = MIB  # it can be copied, and not be read back
        said = await finalizing.started(file_id)
        await finalizing.reaches(said["finalization_id"], "copied")
        marked = await finalizing.sidecar(file_id, source)
        assert marked is not None

        await rewrite_sidecar(finalizing, source, tags=["new"], version=marked["version"] + 1)
        proxy.heal()
        await finalizing.reaches(said["finalization_id"], SCHEDULED, is_hurried=True)

        after = await finalizing.assert_permanent(file_id, CONTENT, target)
        assert after["tags"] == ["new"]


async def test_a_copy_that_was_finished_without_being_able_to_say_so_is_not_taken_back(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    async with fault_proxy(elements[1].url) as proxy:
        finalizing = await start_finalizing(
            roles, elements, urls={"se-rw": proxy.url}, admin={"finalization_attempts": 4}
        )
        file_id = await finalizing.temporary(CONTENT)
        proxy.cut_response_after = MIB  # it can be copied, and not be read back
        said = await finalizing.started(file_id)
        await finalizing.reaches(said["finalization_id"], "copied")
        await finish(finalizing, elements[1], file_id, said["finalization_id"])
        proxy.cut_response_after = 0
        await finalizing.reaches(said["finalization_id"], "failed", is_hurried=True)

        proxy.heal()
        await finalizing.reaches(said["finalization_id"], SCHEDULED, is_hurried=True)

        await finalizing.assert_permanent(file_id, CONTENT, elements[1])


async def test_a_copy_that_reads_back_otherwise_is_removed_and_the_source_kept(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    async with fault_proxy(elements[1].url) as proxy:
        finalizing = await start_finalizing(roles, elements, urls={"se-rw": proxy.url})
        file_id = await finalizing.temporary(CONTENT)
        before = await finalizing.sidecar(file_id, elements[0])
        assert before is not None
        proxy.cut_response_after = MIB
        said = await finalizing.started(file_id)

        async def was_cut() -> bool:
            """Until then the copy is being read, and a bit that is flipped behind that place is not seen."""
            found = await finalizing.look(said["finalization_id"])
            return bool(found["status"] == "copied" and found["attempts"])

        await eventually(was_cut)
        flip_a_bit(data_file(finalizing, "se-rw"))
        proxy.heal()
        said = await finalizing.reaches(said["finalization_id"], "rolled_back", is_hurried=True)

        assert "se-rw" in said["error"]
        await finalizing.assert_untouched(file_id, CONTENT, before)


async def test_a_source_is_kept_when_the_copy_has_been_damaged_since(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    file_id, finalization_id = await scheduled(finalizing)
    source = finalizing.elements[0]
    flip_a_bit(data_file(finalizing, "se-rw"))

    await finalizing.hurry()
    said = await finalizing.reaches(finalization_id, "failed")
    await end_mark_in(finalizing, file_id, -timedelta(days=3))
    collected = await roles.request("POST", f"{source.url}/api/v1/gc", json={"dry_run": False})
    asked = await finalizing.finalize(file_id)

    assert "se-rw" in said["error"]
    assert (asked.status, asked.json()["status"]) == (200, "failed")  # permanent, but not well
    assert collected.status == 200
    assert await finalizing.content(file_id, source) == CONTENT


async def test_a_source_is_kept_when_the_target_does_not_have_the_file_for_good(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    file_id, finalization_id = await scheduled(finalizing)
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="microseconds")
    expires_at = soon.replace("+00:00", "Z")
    retention = {"policy": "temporary", "expires_at": expires_at, "finalized_at": None}
    await rewrite_sidecar(finalizing, finalizing.elements[1], retention=retention)

    await finalizing.hurry()
    said = await finalizing.reaches(finalization_id, "failed")

    assert "does not say that it has the file for good" in said["error"]
    assert await finalizing.content(file_id, finalizing.elements[0]) == CONTENT


async def test_a_source_that_has_changed_since_its_mark_ended_is_kept(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    file_id, finalization_id = await scheduled(finalizing)
    source, target = finalizing.elements
    marked = await finalizing.sidecar(file_id, source)
    assert marked is not None
    ended = {**marked["retention"]["finalization"], "until": "2026-01-01T00:00:00.000000Z"}
    # The version of the copy, but older: it does not win in the index.
    await rewrite_sidecar(
        finalizing,
        source,
        version=marked["version"] + 1,
        updated_at=marked["updated_at"],
        retention={"finalization": ended},
    )

    await finalizing.hurry()
    said = await finalizing.reaches(finalization_id, "failed")

    assert "another one was copied" in said["error"]
    assert await finalizing.content(file_id, source) == CONTENT
    await finalizing.assert_permanent(file_id, CONTENT, target)


async def test_a_source_that_is_gone_already_is_as_good_as_removed(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    file_id, finalization_id = await scheduled(finalizing)
    source = finalizing.elements[0]
    await source.stop()
    for path in finalizing.kept("se-edit"):
        path.unlink()
    for catalog in (roles.data / "storage/se-edit/.artstore").glob("catalog.db*"):
        catalog.unlink()
    await source.start()

    await finalizing.hurry()
    await finalizing.reaches(finalization_id, "completed")

    await finalizing.assert_permanent(file_id, CONTENT, finalizing.elements[1])


async def test_of_what_was_completed_long_ago_the_file_stays_and_nothing_else(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, admin=AT_ONCE)
    old, new = await finalizing.temporary(b"old"), await finalizing.temporary(b"new")
    ids = [(await finalizing.started(file_id, key=file_id))["finalization_id"] for file_id in (old, new)]
    for finalization_id in ids:
        await finalizing.reaches(finalization_id, "completed")
    await finalizing.admin.stop()
    days = f"{91 * 86_400_000_000}"
    await sql_in(
        roles.data,
        f"UPDATE finalizations SET created_at = created_at - {days}, completed_at = completed_at - {days}"
        " WHERE finalization_id = :id",
        {"id": ids[0]},
    )
    await finalizing.admin.start()

    async def is_forgotten() -> bool:
        url = f"{finalizing.ingester.url}/api/v1/finalizations/{ids[0]}"
        return (await roles.request("GET", url)).status == 404

    await eventually(is_forgotten)
    assert (await finalizing.look(ids[1]))["status"] == "completed"
    again = await finalizing.finalize(old, key=old)
    assert (again.status, again.json()["status"]) == (200, "completed")
    await finalizing.assert_permanent(old, b"old", finalizing.elements[1])

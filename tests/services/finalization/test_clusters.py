"""Where files become permanent, and where not: what the elements of a cluster are."""

from collections.abc import Sequence
from typing import Any, Final

from tests.services.admin.harness import eventually
from tests.services.finalization.harness import AT_ONCE, FINALIZATIONS, rewrite_sidecar, start_finalizing
from tests.services.roles import Roles


async def test_what_a_newer_release_has_written_is_kept(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, admin=AT_ONCE)
    source, target = finalizing.elements
    file_id = await finalizing.temporary()
    await rewrite_sidecar(finalizing, source, a_newer_field={"kept": True})

    said = await finalizing.started(file_id)
    await finalizing.reaches(said["finalization_id"], "completed")

    after = await finalizing.sidecar(file_id, target)
    assert after is not None
    assert after["a_newer_field"] == {"kept": True}


async def test_where_no_element_is_for_permanent_files_alone_it_becomes_so_in_place(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, modes=["edit"])
    file_id = await finalizing.temporary(b"content")

    answer = await finalizing.finalize(file_id)

    assert answer.status == 200
    said = answer.json()
    assert said["status"] == "completed"
    assert said["source_element_id"] == said["target_element_id"] == "se-edit"
    after = await finalizing.assert_permanent(file_id, b"content", finalizing.elements[0])
    assert after["version"] == 2


NONSENSE: Final[Sequence[tuple[Any, int, str]]] = (
    ({"element_id": "se-99"}, 400, "there are: se-edit, se-ro, se-rw"),
    ({"element_id": "se-ro"}, 409, "se-ro is in mode ro, which does not allow create"),
    ({"element_id": ""}, 400, "element_id"),
    ({"element": "se-rw"}, 400, "element"),
    ([], 400, "should be"),
)


async def test_a_request_that_makes_no_sense_names_what_to_change(roles: Roles) -> None:
    finalizing = await start_finalizing(roles, modes=["edit", "ro", "rw"])
    file_id = await finalizing.temporary()

    for wanted, status, reason in NONSENSE:
        answer = await finalizing.finalize(file_id, json=wanted)

        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert reason in answer.body.decode()
    malformed = await finalizing.finalize(file_id, key="k" * 256)
    assert (malformed.status, malformed.problem) == (400, "invalid-request")


async def test_an_element_that_keeps_what_it_has_gives_nothing_up(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    source = finalizing.elements[0]
    file_id = await finalizing.temporary()
    await source.stop()
    identity = finalizing.roles.data / "storage/se-edit/element.json"
    identity.write_text(identity.read_text().replace('"edit"', '"ro"'))
    await source.start()

    async def is_known() -> bool:
        url = f"{finalizing.admin.url}/api/v1/storage-elements/se-edit"
        return bool((await finalizing.roles.request("GET", url)).json()["mode"] == "ro")

    await eventually(is_known)
    answer = await finalizing.finalize(file_id)

    assert answer.problem == "mode-not-allowed"


async def test_operators_see_all_that_is_under_way_and_measure_it(roles: Roles) -> None:
    keeping = await start_finalizing(roles)
    ids = [await keeping.temporary(b"x" * 1000) for _ in range(3)]
    for file_id in ids:
        said = await keeping.started(file_id)
        await keeping.reaches(said["finalization_id"], "source_removal_scheduled")

    async def listed(query: str) -> Any:
        url = f"{keeping.admin.url}{FINALIZATIONS}?{query}"
        return (await keeping.roles.request("GET", url)).json()

    page = await listed("status=source_removal_scheduled&limit=2")
    assert [item["file_id"] for item in page["items"]] == ids[:0:-1]
    assert (page["total"], page["has_more"]) == (3, True)
    assert (await listed(f"file_id={ids[0]}"))["total"] == 1
    assert (await listed("status=failed"))["total"] == 0
    metric = keeping.roles.metric

    async def is_shown() -> bool:
        name, status = "artstore_finalizations_present", "source_removal_scheduled"
        return await metric(keeping.admin, name, status=status) == 3

    await eventually(is_shown)
    assert await metric(keeping.admin, "artstore_finalizations_total", outcome="finalized") == 3
    assert await metric(keeping.admin, "artstore_finalization_bytes_total") == 3000
    assert await metric(keeping.admin, "artstore_finalization_duration_seconds_count") == 3
    assert await metric(keeping.admin, "artstore_finalization_oldest_seconds") == 0

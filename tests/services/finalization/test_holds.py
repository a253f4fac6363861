"""What holds a file while it becomes permanent: it is never lost, and keeps both copies."""

from datetime import UTC, datetime, timedelta

from tests.faults import fault_proxy
from tests.services.admin.harness import eventually, sql_in
from tests.services.finalization.harness import (
    CONTENT,
    SCHEDULED,
    Finalizing,
    end_mark_in,
    finish,
    mark_of,
    start_elements,
    start_finalizing,
)
from tests.services.ingester.harness import MIB
from tests.services.roles import Roles, RoleServer


async def hold(finalizing: Finalizing, element: RoleServer, file_id: str, hold_id: str) -> None:
    """Place a hold at an element, as who has asked admin where the file is a moment too early."""
    url = f"{element.url}/api/v1/files/{file_id}/holds"
    placed = await finalizing.roles.request("POST", url, json={"id": hold_id, "reason": "lawsuit"})
    assert placed.status == 201, placed


async def holds(finalizing: Finalizing, file_id: str) -> list[str]:
    """What holds a file, as admin says."""
    answer = await finalizing.roles.request("GET", f"{finalizing.admin.url}/api/v1/files/{file_id}/holds")
    return [each["id"] for each in answer.json()["items"]]


async def has_holds(finalizing: Finalizing, file_id: str, number: int) -> bool:
    return len(await holds(finalizing, file_id)) == number


async def is_marked_for(finalizing: Finalizing, file_id: str, duration: timedelta) -> bool:
    """Whether the source is protected for so long."""
    until = datetime.fromisoformat((await mark_of(finalizing, file_id))["until"])
    return until > datetime.now(UTC) + duration


async def test_a_held_source_stays_until_its_hold_is_released(roles: Roles) -> None:
    finalizing = await start_finalizing(roles)
    source, target = finalizing.elements
    file_id = await finalizing.temporary(CONTENT)
    holds = f"/api/v1/files/{file_id}/holds"
    placed = await roles.request(
        "POST", f"{finalizing.admin.url}{holds}", json={"id": "case-7", "reason": "lawsuit"}
    )
    assert placed.status == 201, placed
    said = await finalizing.started(file_id)
    await finalizing.reaches(said["finalization_id"], SCHEDULED)

    await finalizing.hurry()

    async def is_told() -> bool:
        return "held by case-7" in (await finalizing.look(said["finalization_id"])).get("error", "")

    await eventually(is_told)
    carried = await finalizing.assert_permanent(file_id, CONTENT, target)
    assert [hold["id"] for hold in carried["retention"]["holds"]] == ["case-7"]
    assert await finalizing.content(file_id, source) == CONTENT
    await end_mark_in(finalizing, file_id, timedelta(hours=1))
    await finalizing.hurry()
    await eventually(lambda: is_marked_for(finalizing, file_id, timedelta(days=1)))
    assert (await roles.request("DELETE", f"{source.url}{holds}/case-7")).status == 200
    await finalizing.hurry()
    done = await finalizing.reaches(said["finalization_id"], "completed")
    assert "error" not in done
    assert await finalizing.sidecar(file_id, source) is None
    held = await finalizing.assert_permanent(file_id, CONTENT, target)
    assert held["retention"]["holds"] == carried["retention"]["holds"]


async def test_a_hold_that_comes_while_a_file_is_copied_comes_along(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    async with fault_proxy(elements[1].url) as proxy:
        finalizing = await start_finalizing(roles, elements, urls={"se-rw": proxy.url})
        file_id = await finalizing.temporary(CONTENT)
        proxy.cut_response_after = MIB  # it can be copied, and not be read back
        said = await finalizing.started(file_id)
        await finalizing.reaches(said["finalization_id"], "copied")

        url = f"{finalizing.admin.url}/api/v1/files/{file_id}/holds"
        placed = await roles.request("POST", url, json={"id": "case-7", "reason": "lawsuit"})
        proxy.heal()
        await finalizing.reaches(said["finalization_id"], SCHEDULED, is_hurried=True)

        assert placed.status == 201
        after = await finalizing.assert_permanent(file_id, CONTENT, elements[1])
        assert [hold["id"] for hold in after["retention"]["holds"]] == ["case-7"]


async def test_a_hold_that_comes_to_the_source_too_late_for_the_copy_is_carried_over(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    source, target = elements
    async with fault_proxy(target.url) as proxy:
        finalizing = await start_finalizing(roles, elements, urls={"se-rw": proxy.url})
        file_id = await finalizing.temporary(CONTENT)
        proxy.cut_response_after = MIB  # it can be copied, and not be read back
        said = await finalizing.started(file_id)
        await finalizing.reaches(said["finalization_id"], "copied")
        await finish(finalizing, target, file_id, said["finalization_id"])
        await hold(finalizing, source, file_id, "switching")
        proxy.heal()
        await finalizing.reaches(said["finalization_id"], SCHEDULED, is_hurried=True)
        assert await holds(finalizing, file_id) == ["switching"]

        await hold(finalizing, source, file_id, "switched")
        await sql_in(
            roles.data,
            "UPDATE finalizations SET status = 'switched', remove_source_at = NULL, next_attempt_at = 1",
        )
        await eventually(lambda: has_holds(finalizing, file_id, 2))
        await hold(finalizing, source, file_id, "later")
        await finalizing.hurry()
        await eventually(lambda: has_holds(finalizing, file_id, 3))
        kept = await finalizing.content(file_id, source)
        for each in await holds(finalizing, file_id):
            url = f"{finalizing.admin.url}/api/v1/files/{file_id}/holds/{each}"
            assert (await roles.request("DELETE", url)).status == 204
        await finalizing.reaches(said["finalization_id"], "completed", is_hurried=True)

        assert kept == CONTENT
        after = await finalizing.assert_permanent(file_id, CONTENT, target)
        assert after["retention"]["holds"] == []
        assert await finalizing.sidecar(file_id, source) is None

"""What must be kept is kept, whichever way somebody tries to be rid of it."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import pytest

from artstore.core.ids import new_file_id
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.harness import (
    MINT,
    TEMPORARY,
    Answer,
    ElementClient,
    StartElement,
    lose_catalog,
)

FILE_ID: Final = UUID("01920000-0000-7000-8000-000000000001")
URL: Final = f"/api/v1/files/{FILE_ID}"
HOLDS: Final = f"{URL}/holds"
SOON: Final = "2026-11-26T12:00:00.000000Z"
"""A day after the clock of the tests begins."""
TOMORROW: Final = datetime.fromisoformat(SOON)
LATER: Final = "2036-11-25T12:00:00.000000Z"


@dataclass(frozen=True)
class State:
    """A file as it may be when somebody wants to be rid of it. ``may_go`` when asked for."""

    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_held: bool = False
    days_later: int = 0
    may_go: bool = False


UNTIL_SOON: Final = {"expires_at": TOMORROW}
ONE_DAY: Final = {**TEMPORARY, "ttl_days": 1}
STATES: Final = {
    "permanent": State(),
    "permanent, after a century": State(days_later=36500),
    "permanent, unexpired": State(UNTIL_SOON),
    "permanent, expired": State(UNTIL_SOON, days_later=2, may_go=True),
    "permanent, held": State(is_held=True),
    "permanent, expired, held": State(UNTIL_SOON, days_later=2, is_held=True),
    "temporary": State(ONE_DAY, may_go=True),
    "temporary, expired": State(ONE_DAY, days_later=2, may_go=True),
    "temporary, held": State(ONE_DAY, is_held=True),
    "temporary, expired, held": State(ONE_DAY, days_later=2, is_held=True),
}


async def delete(element: ElementClient) -> Answer:
    return await element.request("DELETE", URL)


async def delete_this_version(element: ElementClient) -> Answer:
    version = (await element.get(URL))["version"]
    return await element.request("DELETE", URL, headers={"If-Match": f'"{version}"'})


async def overwrite(element: ElementClient) -> Answer:
    return await element.put(b"other", file_id=FILE_ID, **TEMPORARY)


async def empty(element: ElementClient) -> Answer:
    return await element.put(b"", file_id=FILE_ID)


async def shorten(element: ElementClient) -> Answer:
    return await element.request("PATCH", URL, json={"expires_at": "2026-11-25T12:00:01Z"})


async def collect(element: ElementClient) -> Answer:
    return await element.request("POST", "/api/v1/gc", json={"dry_run": False})


async def remove_as_finalized(element: ElementClient) -> Answer:
    """As admin does when a permanent copy is elsewhere, which it only claims here."""
    order = {"finalization_id": str(new_file_id())}
    await element.request("POST", f"{URL}/finalization", json={**order, "step": "begin"})
    return await element.request("POST", f"{URL}/finalization", json={**order, "step": "remove"})


async def cancel_finalization(element: ElementClient) -> Answer:
    order = {"finalization_id": str(new_file_id()), "step": "cancel"}
    return await element.request("POST", f"{URL}/finalization", json=order)


async def repair(element: ElementClient) -> Answer:
    kinds = ["deleted_data", "orphan_data", "lost_file"]
    return await element.request(
        "POST", "/api/v1/catalog/consistency/repair", json={"dry_run": False, "kinds": kinds}
    )


Door = Callable[[ElementClient], Awaitable[Answer]]
DOORS: Final[Mapping[str, Door]] = {
    "delete": delete,
    "delete this version": delete_this_version,
    "overwrite": overwrite,
    "empty": empty,
    "shorten": shorten,
    "collect": collect,
    "remove as finalized": remove_as_finalized,
    "cancel finalization": cancel_finalization,
    "repair": repair,
}
OPENED: Final = {
    "delete": {name for name, state in STATES.items() if state.may_go},
    "delete this version": {name for name, state in STATES.items() if state.may_go},
    "collect": {"temporary, expired"},
    "remove as finalized": {"temporary", "temporary, expired"},
}
"""Which states each door lets go."""
SILENT: Final = {"collect", "cancel finalization", "repair"}
"""Doors that pass over what must be kept, rather than refuse."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def element(start: StartElement, clock: FakeClock) -> AsyncGenerator[ElementClient, None]:
    async with start(clock=clock) as element:
        yield element


async def in_state(element: ElementClient, clock: FakeClock, state: State) -> None:
    await element.stored(b"data", file_id=FILE_ID, **state.attributes)
    if state.is_held:
        assert (await element.request("POST", HOLDS, json={"id": "case-7", "reason": "court"})).status == 201
    clock.advance(days=state.days_later)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("state", STATES)
async def test_no_door_lets_a_file_go_that_must_be_kept(
    element: ElementClient, clock: FakeClock, door: str, state: str
) -> None:
    await in_state(element, clock, STATES[state])

    answer = await DOORS[door](element)

    if state in OPENED.get(door, ()):
        assert answer.status == 200
        assert await element.file_ids() == []
    else:
        assert answer.status in ((200,) if door in SILENT else (409, 412))
        assert await element.download(str(FILE_ID)) == b"data"
        assert (await element.get(URL))["retention"].get("expires_at") != "2026-11-25T12:00:01.000000Z"


@pytest.mark.parametrize("state", [name for name, state in STATES.items() if not state.may_go])
async def test_what_is_kept_survives_the_loss_of_the_catalog(
    start: StartElement, clock: FakeClock, state: str
) -> None:
    async with start(clock=clock) as element:
        await in_state(element, clock, STATES[state])
        data = element.root.parent
    await asyncio.to_thread(lose_catalog, data)

    async with start(clock=clock) as element:
        answer = await element.request("DELETE", URL)

        assert (answer.status, answer.problem) == (409, "retention-active")
        assert await element.download(str(FILE_ID)) == b"data"


async def test_who_is_refused_learns_why(element: ElementClient) -> None:
    for_ever = await element.stored(b"data")
    until = await element.stored(b"data", expires_at=TOMORROW)
    held = await element.stored(b"data", **TEMPORARY)
    for hold in ("case-7", "case-9"):
        await element.request(
            "POST", f"/api/v1/files/{held['file_id']}/holds", json={"id": hold, "reason": "r"}
        )

    details = [
        (await element.request("DELETE", f"/api/v1/files/{file['file_id']}")).json()["detail"]
        for file in (for_ever, until, held)
    ]

    assert details[0].endswith("it is kept for ever")
    assert details[1].endswith(f"it is kept until {SOON}")
    assert "held by case-7, case-9: release" in details[2]


async def test_retention_is_said_when_a_file_is_stored(element: ElementClient) -> None:
    stored = await element.stored(b"data", expires_at=datetime.fromisoformat(LATER))

    assert stored["retention"] == {"policy": "permanent", "expires_at": LATER, "holds": []}


async def test_retention_is_extended_but_never_shortened(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID, expires_at=TOMORROW)

    later = await element.request("PATCH", URL, json={"expires_at": LATER})
    same = await element.request("PATCH", URL, json={"expires_at": LATER})
    earlier = await element.request("PATCH", URL, json={"expires_at": SOON})
    for_ever = await element.request("PATCH", URL, json={"expires_at": None})
    not_any_more = await element.request("PATCH", URL, json={"expires_at": LATER})

    assert later.json()["attributes"]["retention"]["expires_at"] == LATER
    assert same.json()["attributes"]["version"] == 2
    assert (earlier.status, earlier.problem) == (409, "retention-active")
    assert "expires_at" not in for_ever.json()["attributes"]["retention"]
    assert (not_any_more.status, not_any_more.problem) == (409, "retention-active")


async def test_a_temporary_file_is_kept_for_longer_but_says_when_it_expires(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)

    longer = await element.request("PATCH", URL, json={"expires_at": LATER})
    for_ever = await element.request("PATCH", URL, json={"expires_at": None})

    assert longer.json()["attributes"]["retention"]["expires_at"] == LATER
    assert (for_ever.status, for_ever.json()["errors"][0]["path"]) == (400, "expires_at")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"expires_at": "2026-11-25T11:59:59Z"}, "expires_at"),
        ({"expires_at": "2036"}, "expires_at"),
        ({"expires_at": "2036-01-01"}, "expires_at"),
        ({"expires_at": "2036-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": LATER, "retention_policy": "temporary"}, "expires_at"),
    ],
)
async def test_a_retention_that_makes_no_sense_is_refused(
    element: ElementClient, fields: dict[str, str], path: str
) -> None:
    form = {**fields, "file": io.BytesIO(b"data")}

    answer = await element.request("POST", "/api/v1/files/upload", data=form)

    assert answer.status == 400
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]
    await element.assert_nothing_kept()


# --- holds ---


async def test_a_hold_is_in_the_sidecar_with_who_placed_it_and_when(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    clock.advance(hours=1)

    answer = await element.request("POST", HOLDS, json={"id": "case-7", "reason": "court order"})

    _, sidecar = await element.placed_files()
    held = json.loads(sidecar.read_bytes())
    assert answer.status == 201
    assert answer.json()["attributes"] == held
    assert answer.headers["Artstore-Position"] == "se-01:2"
    assert (held["version"], held["updated_at"]) == (2, "2026-11-25T13:00:00.000000Z")
    (hold,) = held["retention"]["holds"]
    assert (hold["id"], hold["reason"]) == ("case-7", "court order")
    assert hold["placed_at"] == "2026-11-25T13:00:00.000000Z"
    assert hold["placed_by"] == held["created_by_username"]
    assert (await element.get(HOLDS))["items"] == [hold]


async def test_a_hold_is_placed_once(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    hold = {"id": "case-7", "reason": "court"}

    answers = await asyncio.gather(*(element.request("POST", HOLDS, json=hold) for _ in range(5)))
    other = await element.request("POST", HOLDS, json={**hold, "reason": "another"})

    assert sorted(answer.status for answer in answers) == [200] * 4 + [201]
    assert (other.status, other.problem) == (409, "already-exists")
    assert (await element.get(URL))["version"] == 2


async def test_a_hold_without_an_id_gets_one(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID)

    await asyncio.gather(*(element.request("POST", HOLDS, json={"reason": "court"}) for _ in range(3)))

    ids = {hold["id"] for hold in (await element.get(HOLDS))["items"]}
    assert len(ids) == 3


async def test_a_file_may_go_when_its_last_hold_is_released(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    for hold in ("a", "b"):
        await element.request("POST", HOLDS, json={"id": hold, "reason": "r"})

    first = await element.request("DELETE", f"{HOLDS}/a")
    still = await element.request("DELETE", URL)
    second = await element.request("DELETE", f"{HOLDS}/b")
    again = await element.request("DELETE", f"{HOLDS}/b")
    gone = await element.request("DELETE", URL)

    assert [a.status for a in (first, still, second, again, gone)] == [200, 409, 200, 404, 200]


async def test_holds_are_there_after_a_restart(start: StartElement) -> None:
    async with start() as element:
        await element.stored(b"data", file_id=FILE_ID)
        await element.request("POST", HOLDS, json={"id": "case-7", "reason": "court"})
        held = await element.get(URL)

    async with start() as element:
        assert await element.get(URL) == held


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "r", "id": "a/b"}, "id"),
        ({"reason": "r", "id": ""}, "id"),
        ({"reason": "r", "placed_by": "me"}, "placed_by"),
    ],
)
async def test_a_malformed_hold_is_refused(element: ElementClient, body: object, path: str) -> None:
    await element.stored(b"data", file_id=FILE_ID)

    answer = await element.request("POST", HOLDS, json=body)

    assert (answer.status, answer.json()["errors"][0]["path"]) == (400, path)
    assert (await element.get(URL))["version"] == 1


async def test_a_file_has_a_hundred_holds_at_most(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    for number in range(100):
        await element.request("POST", HOLDS, json={"id": f"{number}", "reason": "x" * 1000})

    answer = await element.request("POST", HOLDS, json={"id": "one-more", "reason": "r"})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert len((await element.get(HOLDS))["items"]) == 100


async def test_nothing_is_held_that_is_not_there(element: ElementClient) -> None:
    missing = await element.request("POST", HOLDS, json={"reason": "r"})
    await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    await element.request("DELETE", URL)

    deleted = await element.request("POST", HOLDS, json={"reason": "r"})

    assert [answer.status for answer in (missing, deleted)] == [404, 404]


async def test_holds_follow_the_mode_of_the_element(start: StartElement) -> None:
    async with start(element={"mode": "rw"}) as element:
        await element.stored(b"data", file_id=FILE_ID)
        placed = await element.request("POST", HOLDS, json={"id": "a", "reason": "r"})
        released = await element.request("DELETE", f"{HOLDS}/a")

    assert (placed.status, released.status) == (201, 200)


@pytest.mark.parametrize("mode", ["ro", "ar"])
async def test_where_nothing_changes_nothing_needs_to_be_held(start: StartElement, mode: str) -> None:
    async with start(element={"mode": mode}) as element:
        placed = await element.request("POST", HOLDS, json={"reason": "r"})
        released = await element.request("DELETE", f"{HOLDS}/a")

    assert (placed.problem, released.problem) == ("mode-not-allowed", "mode-not-allowed")


async def test_holds_are_for_operators(element: ElementClient) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    token = MINT(scope="storage:read storage:write storage:delete")

    placed = await element.request("POST", HOLDS, json={"reason": "r"}, token=token)
    released = await element.request("DELETE", f"{HOLDS}/a", token=token)
    listed = await element.request("GET", HOLDS, token=token)

    assert [answer.status for answer in (placed, released, listed)] == [403, 403, 200]

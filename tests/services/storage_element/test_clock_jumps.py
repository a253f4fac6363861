"""Somebody sets the clock of a running element a year back or ahead: nothing is lost, nothing goes early."""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.testing import IssuerServer
from tests.services.admin.harness import eventually
from tests.services.storage_element.harness import ALL_SCOPES, MINT, TEMPORARY, ElementClient
from tests.services.storage_element.processes import ElementProcess, element_process
from tests.services.storage_element.set_clock import SetClock

YEAR: Final = timedelta(days=365)
GC: Final = "/api/v1/gc"
REFUSED: Final = "artstore_element_gc_refused_total"
JUMPS: Final = pytest.mark.parametrize("days", [-365, 365], ids=["back", "ahead"])


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path)


@pytest.fixture
def sections(issuer: IssuerServer) -> dict[str, Any]:
    trusted = {"issuer": MINT.issuer, "audience": MINT.audience, "jwks_url": issuer.jwks_url}
    return {
        "element": {"lease_ttl": 15, "collection": {"interval": 0.2, "removal_delay": 1}},
        "auth": {"type": "oauth", **trusted, "leeway": 0},
    }


@pytest.fixture
async def process(
    tmp_path: Path, issuer: IssuerServer, clock: SetClock, sections: dict[str, Any]
) -> AsyncGenerator[ElementProcess, None]:
    async with element_process(
        tmp_path, issuer.jwks_url, environment=clock.environment, **sections
    ) as process:
        process.client.token = token_from(clock.now() - 2 * YEAR, lasting=4 * YEAR)
        yield process


def token_from(begin: datetime, *, lasting: timedelta = timedelta(hours=1)) -> str:
    start = int(begin.timestamp())
    return MINT(scope=ALL_SCOPES, iat=start, nbf=start, exp=int((begin + lasting).timestamp()))


async def collected(element: ElementClient, **order: Any) -> dict[str, Any]:
    """The report of a collection that may remove."""
    answer = await element.request("POST", GC, json={"dry_run": False, **order})
    report: dict[str, Any] = answer.json()
    return report


@JUMPS
async def test_files_are_stored_changed_and_read_and_the_lease_is_kept_whatever_the_clock_says(
    process: ElementProcess, clock: SetClock, days: int
) -> None:
    element = process.client
    before = await element.stored(b"before")

    clock.set(days=days)
    during = await element.stored(b"during")
    changed = await element.request("PATCH", f"/api/v1/files/{before['file_id']}", json={"tags": ["new"]})
    await next_version(element.root / "lease.json")
    ready = await element.get("/health/ready")
    clock.set()
    after = await element.stored(b"after")

    assert datetime.fromisoformat(during["created_at"]).year == datetime.now().year + days // 365
    assert changed.status == 200
    assert ready["checks"]["lease"]["status"] == "ok"
    assert await element.metric("artstore_element_lease_fence") == 1
    assert await element.metric("artstore_element_lease_failures") == 0
    for each, content in ((before, b"before"), (during, b"during"), (after, b"after")):
        assert await element.download(each["file_id"]) == content


async def next_version(path: Path) -> None:
    """Return when somebody has put another file in its place."""
    before = await asyncio.to_thread(path.read_bytes)

    async def is_there() -> bool:
        return await asyncio.to_thread(path.read_bytes) != before

    await eventually(is_there)


@JUMPS
async def test_nothing_is_collected_before_its_time_whatever_the_clock_says(
    process: ElementProcess, clock: SetClock, days: int
) -> None:
    element = process.client
    before = (await element.stored(b"before", **TEMPORARY, ttl_days=1))["file_id"]

    clock.set(days=days)
    during = (await element.stored(b"during", **TEMPORARY, ttl_days=1))["file_id"]
    deleted = (await element.stored(b"deleted", **TEMPORARY))["file_id"]
    await element.request("DELETE", f"/api/v1/files/{deleted}")
    refused = (await collected(element))["refused"]
    # Those that begin by themselves are refused, too.
    await refused_more_often(element, await element.metric(REFUSED, cause="clock"))
    clock.set()
    believed = await collected(element)
    undeleted = await element.request("POST", f"/api/v1/files/{deleted}/undelete")

    assert f"the clock says {datetime.now().year + days // 365}" in refused
    assert believed.get("refused") is None
    assert {reason: found["found"] for reason, found in believed["found"].items()} == dict.fromkeys(
        believed["found"], 0
    )
    assert await element.download(before) == b"before"
    assert await element.download(during) == b"during"
    assert undeleted.status == 200


async def refused_more_often(element: ElementClient, times: float) -> None:
    async def has_been() -> bool:
        return await element.metric(REFUSED, cause="clock") > times

    await eventually(has_been)


@pytest.mark.parametrize(
    ("lost", "days", "advice"),
    [
        (["catalog.db*"], 365, "set it right, or confirm"),
        (["catalog.db*"], -365, "set it right, or confirm"),
        (["catalog.db*", "clock.json"], 365, "no clock.json that could tell whether that is so: confirm"),
    ],
    ids=["ahead", "back", "ahead, without a witness"],
)
async def test_an_element_that_starts_with_a_wrong_clock_and_no_catalog_serves_and_removes_nothing(
    tmp_path: Path,
    issuer: IssuerServer,
    clock: SetClock,
    process: ElementProcess,
    sections: dict[str, Any],
    lost: list[str],
    days: int,
    advice: str,
) -> None:
    temporary = (await process.client.stored(b"data", **TEMPORARY, ttl_days=1))["file_id"]
    in_a_month = clock.now() + timedelta(days=30)
    kept = (await process.client.stored(b"kept", expires_at=in_a_month))["file_id"]
    await process.kill()
    await asyncio.to_thread(lose, tmp_path / "storage", lost)
    clock.set(days=days)

    async with element_process(
        tmp_path, issuer.jwks_url, environment=clock.environment, **sections
    ) as restarted:
        element = restarted.client
        element.token = process.client.token
        refused = (await collected(element))["refused"]
        deleted = await element.request("DELETE", f"/api/v1/files/{kept}")
        more = await element.put(b"more")
        clock.set()
        believed = await collected(element, confirm_clock="clock.json" in lost)

        assert f"the clock says {datetime.now().year + days // 365}" in refused
        assert advice in refused
        assert (deleted.status, deleted.problem) == (409, "retention-active")
        assert more.status == 201
        assert believed.get("refused") is None
        assert sum(found["found"] for found in believed["found"].values()) == 0
        assert await element.download(temporary) == b"data"


def lose(root: Path, patterns: list[str]) -> None:
    for path in [path for pattern in patterns for path in root.rglob(pattern)]:
        path.unlink()


async def test_tokens_are_those_of_the_time_that_the_element_sees(
    process: ElementProcess, clock: SetClock
) -> None:
    element = process.client
    of_now = MINT(scope=ALL_SCOPES)
    for days, told in ((-365, "compare the clocks"), (365, "expired")):
        clock.set(days=days)

        of_its_time = await element.put(b"data", token=token_from(clock.now()))
        of_ours = await element.put(b"data", token=of_now)

        assert of_its_time.status == 201
        assert (of_ours.status, of_ours.problem) == (401, "unauthenticated")
        assert told in of_ours.json()["detail"]


async def test_a_token_that_was_accepted_is_not_accepted_for_longer_because_the_clock_went_back(
    process: ElementProcess, clock: SetClock
) -> None:
    begin, lasting = clock.now() - timedelta(hours=1), timedelta(hours=1, seconds=2)
    token = token_from(begin, lasting=lasting)
    accepted = await process.client.request("GET", "/api/v1/files", token=token)

    clock.set(days=-365)
    await asyncio.sleep((begin + lasting).timestamp() - time.time() + 0.1)
    afterwards = await process.client.request("GET", "/api/v1/files", token=token)

    assert (accepted.status, afterwards.status) == (200, 401)

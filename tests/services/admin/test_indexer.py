"""The indexer: what real storage elements hold is in the index, whatever happens to either."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from artstore.services.admin import indexer, journal_follower, leased_job
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import (
    ELEMENTS,
    FILES,
    AdminClient,
    ElementServer,
    Port,
    admin_settings,
    eventually,
    lose_database,
    running_admin,
    sql,
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """New elements and free leases are noticed soon."""
    monkeypatch.setattr(indexer, "REGISTRY_INTERVAL", 0.05)
    monkeypatch.setattr(leased_job, "ATTEMPT_INTERVAL", 0.05)


async def names(admin: AdminClient, **query: object) -> set[str]:
    page = await admin.get(FILES, **query)
    return {file["attributes"]["original_filename"] for file in page["items"]}


async def wait_for_names(admin: AdminClient, *expected: str) -> None:
    async def are_there() -> bool:
        return await names(admin) == set(expected)

    await eventually(are_there)


async def writer(admin: AdminClient) -> str:
    return await admin.token(admin.credentials("ingester"))


async def test_what_is_stored_is_found(admin: AdminClient, element: ElementServer) -> None:
    token = await writer(admin)
    await element.put(token, name="before.txt")
    await admin.request("POST", ELEMENTS, json={"url": element.url})
    await wait_for_names(admin, "before.txt")

    stored = await element.put(token, name="after.txt")

    await wait_for_names(admin, "before.txt", "after.txt")
    file = await admin.get(f"{FILES}/{stored['attributes']['file_id']}")
    assert file == {"element_id": "se-01", "position": "se-01:2", "attributes": stored["attributes"]}


async def test_changes_and_deletions_on_the_element_follow(
    admin: AdminClient, element: ElementServer
) -> None:
    token = await writer(admin)
    changed, deleted = (
        await element.put(token, name="changed.txt"),
        await element.put(token, name="deleted.txt", retention_policy="temporary"),
    )
    await admin.request("POST", ELEMENTS, json={"url": element.url})
    await wait_for_names(admin, "changed.txt", "deleted.txt")

    await element.patch(token, changed, tags=["urgent"])
    await element.delete(await admin.token(admin.credentials("admin")), deleted)

    await wait_for_names(admin, "changed.txt")

    async def is_tagged() -> bool:
        [file] = (await admin.get(FILES))["items"]
        return bool(file["attributes"]["tags"] == ["urgent"])

    await eventually(is_tagged)


async def test_a_purged_file_is_forgotten_and_its_id_can_be_had_again(
    admin: AdminClient, start: StartAdmin, tmp_path: Path, port: Port
) -> None:
    at_once = {"tombstone_retention": 0}
    async with ElementServer(tmp_path, port, collection=at_once).running() as element:
        await admin.request("POST", ELEMENTS, json={"url": element.url})
        token = await writer(admin)
        purged = await element.put(token, name="purged.txt", retention_policy="temporary")
        await element.delete(await admin.token(admin.credentials("admin")), purged)
        report = await element.collect(await admin.token(admin.credentials("admin")))
        await element.put(token, name="kept.txt")
        await wait_for_names(admin, "kept.txt")

        again = await element.put(token, name="again.txt", file_id=purged["attributes"]["file_id"])

        assert report["found"]["tombstone"]["removed"] == 1
        await wait_for_names(admin, "kept.txt", "again.txt")
        assert (await admin.get(f"{FILES}/{again['attributes']['file_id']}"))["position"] == "se-01:5"


async def test_several_elements_are_followed_and_one_that_is_down_delays_no_other(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    one = ElementServer(tmp_path, port, element_id="se-01")
    other = ElementServer(tmp_path, port, element_id="se-02")
    token = await writer(admin)
    async with one.running():
        await admin.request("POST", ELEMENTS, json={"url": one.url})
        await one.put(token, name="one.txt")
        await wait_for_names(admin, "one.txt")
    async with other.running():
        await admin.request("POST", ELEMENTS, json={"url": other.url})
        await other.put(token, name="other.txt")
        await wait_for_names(admin, "one.txt", "other.txt")
        assert await names(admin, element_id="se-02") == {"other.txt"}


async def test_an_element_that_was_away_is_followed_on_and_told_of_once(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    server = ElementServer(tmp_path, port)
    token = await writer(admin)
    with capture_logs() as logs:
        async with server.running():
            await admin.request("POST", ELEMENTS, json={"url": server.url})
            await server.put(token, name="before.txt")
            await wait_for_names(admin, "before.txt")
        await eventually(lambda: has_logged(logs, "journal_not_followed"))
        assert await admin.check("indexer") == "degraded"
        assert (await admin.metric("artstore_index_failures_total", element_id="se-01") or 0) >= 3

        async with server.running():
            await server.put(token, name="after.txt")
            await wait_for_names(admin, "before.txt", "after.txt")
            await eventually(lambda: is_ok(admin))

    told = [
        log["event"] for log in logs if log["event"].startswith("journal_") and log["event"] != "journal_read"
    ]
    assert told == ["journal_not_followed", "journal_followed_again"]
    assert await admin.metric("artstore_index_records_total", element_id="se-01") == 2


async def is_ok(admin: AdminClient) -> bool:
    return await admin.check("indexer") == "ok"


async def has_logged(logs: list[Any], event: str) -> bool:
    return any(log["event"] == event for log in logs)


async def test_a_rebuilt_catalog_is_read_again_and_what_is_gone_is_forgotten(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    server = ElementServer(tmp_path, port)
    token = await writer(admin)
    async with server.running():
        await admin.request("POST", ELEMENTS, json={"url": server.url})
        for name in ("kept.txt", "lost.txt", "kept too.txt"):
            await server.put(token, name=name)
        await wait_for_names(admin, "kept.txt", "lost.txt", "kept too.txt")
    await asyncio.to_thread(server.lose, "lost*")

    async with server.running():
        await wait_for_names(admin, "kept.txt", "kept too.txt")
        await server.put(token, name="new.txt")
        await wait_for_names(admin, "kept.txt", "kept too.txt", "new.txt")


async def test_a_lost_index_is_read_from_the_elements_again(
    start: StartAdmin, tmp_path: Path, port: Port
) -> None:
    element = ElementServer(tmp_path, port)
    async with element.running(), start(elements=[element.url]) as admin:
        token = await writer(admin)
        await element.put(token, name="one.txt")
        await element.put(token, name="two.txt")
        await wait_for_names(admin, "one.txt", "two.txt")
    lose_database(tmp_path)

    async with element.running(), start(elements=[element.url]) as admin:
        await wait_for_names(admin, "one.txt", "two.txt")


async def test_more_than_a_page_is_read_to_the_end(
    admin: AdminClient, element: ElementServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("artstore.services.admin.journal_follower.PAGE_SIZE", 3)
    token = await writer(admin)
    stored = [await element.put(token, name=f"{number}.txt") for number in range(10)]

    await admin.request("POST", ELEMENTS, json={"url": element.url})

    await wait_for_names(admin, *(each["attributes"]["original_filename"] for each in stored))
    assert await admin.metric("artstore_index_lag_records", element_id="se-01") == 0
    assert await admin.metric("artstore_index_lag_seconds", element_id="se-01") == 0
    assert await admin.metric("artstore_index_records_total", element_id="se-01") == 10


async def test_a_removed_element_is_not_followed_any_more(admin: AdminClient, element: ElementServer) -> None:
    token = await writer(admin)
    await admin.request("POST", ELEMENTS, json={"url": element.url})
    await element.put(token, name="before.txt")
    await wait_for_names(admin, "before.txt")

    await admin.request("DELETE", f"{ELEMENTS}/se-01")

    async def is_forgotten() -> bool:
        return await admin.metric("artstore_index_lag_records", element_id="se-01") is None

    await eventually(is_forgotten)
    await element.put(token, name="after.txt")
    await asyncio.sleep(0.3)
    assert await names(admin) == {"before.txt"}


async def test_only_one_of_two_admins_indexes_and_the_other_takes_over(
    start: StartAdmin, tmp_path: Path, element: ElementServer
) -> None:
    async with start() as one:
        await one.request("POST", ELEMENTS, json={"url": element.url})
        token = await writer(one)
        await eventually(lambda: holds(one, "indexer"))
        other_settings = admin_settings(tmp_path, Port.free(), issuer=one.url)
        async with running_admin(other_settings) as other:
            await element.put(token, name="first.txt")
            await wait_for_names(one, "first.txt")
            assert await other.metric("artstore_lease_held", lease="indexer") == 0
            assert await other.metric("artstore_index_records_total", element_id="se-01") is None
            assert await other.check("indexer") == "ok"

            # As if the first had been asleep for longer than its lease.
            await sql(one, "UPDATE leases SET expires_at = 1 WHERE name = 'indexer'")
            await eventually(lambda: holds(other, "indexer"))
            await element.put(token, name="second.txt")
            await wait_for_names(other, "first.txt", "second.txt")

            await eventually(lambda: holds(one, "indexer", value=0))
            assert await one.metric("artstore_index_lag_records", element_id="se-01") is None


async def holds(admin: AdminClient, lease: str, *, value: float = 1) -> bool:
    return await admin.metric("artstore_lease_held", lease=lease) == value


async def test_an_admin_that_stops_gives_its_jobs_up_at_once(start: StartAdmin) -> None:
    async with start() as admin:
        await eventually(lambda: holds(admin, "indexer"))
        await eventually(lambda: holds(admin, "element-watch"))

    async with start() as admin:
        await eventually(lambda: holds(admin, "indexer"), patience=leased_job.DURATION.total_seconds() / 2)


async def test_jobs_end_when_the_server_begins_to_stop(start: StartAdmin, element: ElementServer) -> None:
    async with start(elements=[element.url]) as admin:
        await element.put(await writer(admin), name="one.txt")
        await wait_for_names(admin, "one.txt")  # from now on the journal is waited for

        admin.stopping.set()

        half_of_the_wait = journal_follower.LONG_POLL / 2
        await eventually(lambda: holds(admin, "indexer", value=0), patience=half_of_the_wait)
        await eventually(lambda: holds(admin, "element-watch", value=0), patience=half_of_the_wait)

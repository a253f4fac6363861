"""The root lease: of several processes on one root, one changes it, whatever the storage is."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.spec import ConfigurationError, StorageBackend, UnavailableError
from artstore.core.testing import IssuerServer
from tests.services.admin.harness import eventually
from tests.services.storage_element.faulty_storage import FaultyStorage
from tests.services.storage_element.harness import ElementClient, StartElement
from tests.services.storage_element.processes import ElementProcess, element_process
from tests.services.storage_element.shared_storage import NETWORK, OBJECTS, ObjectStore

SHORT: Final = {"lease_ttl": 2}
DOWN: Final = UnavailableError("the storage is down")
LONG: Final = {"lease_ttl": 3600}
"""Longer than any test: who waits for it fails."""

StartProcess = Callable[..., AbstractAsyncContextManager[ElementProcess]]


@pytest.fixture(params=[NETWORK, OBJECTS])
def shared(request: pytest.FixtureRequest, start_process: StartProcess) -> StartProcess:
    """Starts an element on the one root, which is on a storage that several hosts have."""

    def start(**sections: Any) -> AbstractAsyncContextManager[ElementProcess]:
        return start_process(environment={"STORAGE": request.param}, **sections)

    return start


@pytest.fixture
def start_process(issuer: IssuerServer, tmp_path: Path) -> StartProcess:
    def start(**sections: Any) -> AbstractAsyncContextManager[ElementProcess]:
        return element_process(tmp_path, issuer.jwks_url, **sections)

    return start


def lease(root: Path) -> Any:
    return json.loads((root / "lease.json").read_bytes())


def kept(root: Path) -> dict[Path, bytes]:
    """What is in the root, but for the lease and the working area."""
    files = [*root.glob("[0-9]*/**/*"), root / "element.json", root / "ARTSTORE.md"]
    return {path: path.read_bytes() for path in files if path.is_file()}


async def test_a_second_process_is_refused_and_the_first_goes_on(shared: StartProcess) -> None:
    async with shared(element=SHORT) as first:
        holder = f"process {first.pid} on .* until 20"

        with pytest.raises(ProcessLookupError, match=rf"root is in use by {holder}.*stop that") as refusal:
            async with shared(element=SHORT):
                pass

        assert "\n" not in str(refusal.value)
        await first.client.stored(b"data")


async def test_one_that_was_taken_over_while_it_was_paused_changes_nothing(shared: StartProcess) -> None:
    async with shared(element=SHORT) as first:
        before = await first.client.stored(b"before", retention_policy="temporary", ttl_days=1)
        uploading, ended = endless_upload(first.client)
        await first.client.wait_for_metric("artstore_element_wal_pending", 1)
        first.pause()
        async with shared(element=SHORT) as second:
            after = await second.client.stored(b"after")
            changed = await second.client.request(
                "PATCH", f"/api/v1/files/{before['file_id']}", json={"description": "by the second"}
            )
            here = kept(second.client.root)
            first.go_on()
            ended.set()

            answers = [
                await uploading,
                await first.client.put(b"small"),
                await first.client.put(bytes(300_000)),
                await first.client.request(
                    "PATCH", f"/api/v1/files/{before['file_id']}", json={"description": "by the first"}
                ),
                await first.client.request("DELETE", f"/api/v1/files/{before['file_id']}"),
            ]

            assert changed.status == 200
            assert [answer.status for answer in answers] == [503] * 5
            assert kept(second.client.root) == here
            await first.client.wait_for_metric("artstore_element_lease_held", 0)
            assert (await first.client.request("GET", "/health/ready")).status == 503
            assert await first.client.download(before["file_id"]) == b"before"
            assert await first.stop() == 0
            assert kept(second.client.root) == here
            assert lease(second.client.root)["holder"]["pid"] == second.pid
            assert await second.client.download(after["file_id"]) == b"after"
            last = await second.client.stored(b"last")
            assert len(await second.client.file_ids()) == 3
    async with shared(element=SHORT) as third:
        assert await third.client.download(last["file_id"]) == b"last"
        assert await third.client.metric("artstore_element_wal_recovered_total") == 0


def endless_upload(element: ElementClient) -> tuple[asyncio.Task[Any], asyncio.Event]:
    """An upload that goes on until an event."""
    ended = asyncio.Event()

    async def content() -> AsyncGenerator[bytes, None]:
        yield b"beginning"
        await ended.wait()
        yield b"end"

    return asyncio.create_task(element.put(content())), ended


async def test_one_that_was_killed_is_replaced_at_once(shared: StartProcess) -> None:
    async with shared(element=LONG) as first:
        stored = await first.client.stored(b"data")
        await first.kill()

    async with shared(element=LONG) as second:
        assert await second.client.download(stored["file_id"]) == b"data"
        assert await second.client.metric("artstore_element_lease_fence") == 2


async def test_one_that_stopped_leaves_the_root_to_a_process_of_any_host(
    shared: StartProcess,
) -> None:
    async with shared(element=LONG) as first:
        assert await first.stop() == 0
    make_foreign(first.client.root)

    async with shared(element=LONG) as second:
        await second.client.stored(b"data")


def make_foreign(root: Path) -> None:
    """The lease as a process of another host would have written it."""
    said = lease(root)
    said["holder"] |= {"boot_id": "another", "host": "elsewhere"}
    (root / "lease.json").write_text(json.dumps(said))


async def test_one_of_another_host_that_does_not_renew_is_replaced_after_its_time(
    shared: StartProcess,
) -> None:
    async with shared(element={"lease_ttl": 1}) as first:
        await first.kill()
    make_foreign(first.client.root)

    async with shared(element=LONG) as second:
        await second.client.stored(b"data")
        assert lease(second.client.root)["fence"] == 2


async def test_after_the_machine_went_down_a_disk_of_its_own_is_taken_at_once(
    start_process: StartProcess,
) -> None:
    async with start_process(element=LONG) as first:
        await first.kill()
    make_foreign(first.client.root)

    async with start_process(element=LONG) as second:
        await second.client.stored(b"data")


async def test_a_second_process_is_refused_even_when_the_lock_was_removed(
    start_process: StartProcess,
) -> None:
    async with start_process(element=SHORT) as first:
        stored = await first.client.stored(b"data")
        (first.client.root / ".artstore" / "lock").unlink()

        with pytest.raises(ProcessLookupError, match="root is in use by process"):
            async with start_process(element=SHORT):
                pass

        assert await first.client.download(stored["file_id"]) == b"data"
        await first.client.stored(b"more")
    async with start_process(element=SHORT) as again:
        assert len(await again.client.file_ids()) == 2


async def test_a_lease_that_nobody_understands_is_waited_for(start: StartElement) -> None:
    async with start() as element:
        path = element.root / "lease.json"
    path.write_text("{")

    async with start(element={"lease_ttl": 1}, wrap=ObjectStore) as element:
        await element.stored(b"data")


class Shared:
    """An object store that is running, and what its puts of the lease shall fail with."""

    def __init__(self, make: type[FaultyStorage]) -> None:
        self.storage: FaultyStorage
        self._make = make

    def wrap(self, storage: StorageBackend) -> FaultyStorage:
        self.storage = self._make(storage)
        return self.storage

    def fail(self, error: Exception = DOWN) -> None:
        self.storage.fault_before_put = lambda key: error if key == "lease.json" else None

    def heal(self) -> None:
        self.storage.fault_before_put = lambda _: None


async def test_without_renewal_nothing_is_stored_and_everything_is_read(start: StartElement) -> None:
    shared = Shared(ObjectStore)
    async with start(element={"lease_ttl": 1}, wrap=shared.wrap) as element:
        stored = await element.stored(b"data")
        shared.fail()
        await element.wait_for_metric("artstore_element_lease_held", 0)

        refused = await element.put(b"more")

        assert refused.status == 503
        assert "lease.json" in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) >= 1
        assert await element.metric("artstore_element_lease_failures") > 0
        assert await element.download(stored["file_id"]) == b"data"
        shared.heal()
        await element.wait_for_metric("artstore_element_lease_held", 1)
        await element.stored(b"more")
        assert await element.metric("artstore_element_lease_fence") > 1


async def test_it_is_renewed_again_whatever_a_renewal_has_failed_with(start: StartElement) -> None:
    shared = Shared(ObjectStore)
    async with start(element={"lease_ttl": 1}, wrap=shared.wrap) as element:
        shared.fail(RuntimeError("a defect"))
        await element.wait_for_metric("artstore_element_lease_held", 0)

        shared.heal()

        await element.wait_for_metric("artstore_element_lease_held", 1)
        await element.stored(b"data")


async def test_where_a_lock_keeps_others_out_it_counts_while_the_lease_cannot_be_written(
    start: StartElement,
) -> None:
    shared = Shared(FaultyStorage)
    async with start(element={"lease_ttl": 1}, wrap=shared.wrap) as element:
        shared.fail()
        await asyncio.sleep(1.2)

        await element.stored(b"data")


async def test_a_lease_that_somebody_removed_is_written_again(start: StartElement) -> None:
    async with start(element={"lease_ttl": 1}) as element:
        path = element.root / "lease.json"
        path.unlink()

        async def is_written() -> bool:
            return path.exists()

        await eventually(is_written)
        await element.stored(b"data")


async def test_below_a_mount_that_is_lost_nothing_is_stored(start: StartElement) -> None:
    async with start(element={"lease_ttl": 3}) as element:
        stored = await element.stored(b"data")
        await element.placed_files()
        hidden = element.root.with_name("hidden")
        element.root.rename(hidden)
        (element.root / ".artstore" / "staging").mkdir(parents=True)

        at_once = [await element.put(b"small"), await element.put(bytes(300_000))]
        await element.wait_for_metric("artstore_element_lease_held", 0)
        later = [await element.put(b"small"), await element.put(bytes(300_000))]

        assert [answer.status for answer in (*at_once, *later)] == [503] * 4
        assert element.data_files() == []
        (element.root / ".artstore" / "staging").rmdir()
        (element.root / ".artstore").rmdir()
        element.root.rmdir()
        hidden.rename(element.root)
        await element.wait_for_metric("artstore_element_lease_held", 1)
        assert await element.download(stored["file_id"]) == b"data"
        await element.stored(b"more")


async def test_the_fence_stays_above_the_number_of_starts_when_the_lease_is_lost(
    start: StartElement,
) -> None:
    for _ in range(2):
        async with start():
            pass
    async with start() as element:
        pass
    (element.root / "lease.json").unlink()

    async with start() as element:
        assert await element.metric("artstore_element_lease_fence") == 4


@pytest.mark.parametrize("ttl", [0, 0.5, 3601, "soon"])
async def test_a_time_that_makes_no_sense_is_refused(start: StartElement, ttl: object) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        start(element={"lease_ttl": ttl})

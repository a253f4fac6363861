"""What an element does by itself: whatever it fails with, the element serves, says so and tries again."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from artstore.services.storage_element.jobs import Jobs
from tests.services.admin.harness import PATIENCE, eventually
from tests.services.storage_element.faulty_storage import Faults
from tests.services.storage_element.harness import ElementClient, StartElement

FAILURES = "artstore_element_job_failures_total"


def defect(_: str) -> Exception:
    """What nobody has foreseen."""
    return RuntimeError("a defect")


def break_usage(faults: Faults) -> None:
    faults.storage.fault_on_usage = defect


def break_listing(faults: Faults) -> None:
    faults.storage.fault_on_list = defect


@pytest.mark.parametrize(("job", "break_storage"), [("upkeep", break_usage), ("collection", break_listing)])
async def test_an_unforeseen_failure_is_told_and_what_failed_is_tried_until_it_succeeds(
    start: StartElement,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
    job: str,
    break_storage: Callable[[Faults], None],
) -> None:
    monkeypatch.setattr("artstore.services.storage_element.opening.UPKEEP_INTERVAL", 0.02)
    async with start(wrap=faults.wrap, element={"collection": {"interval": 0.02}}) as element:
        break_storage(faults)

        await eventually(lambda: has_failed(element, job, times=3))
        told = await checks(element)
        stored = await element.put(b"data")
        faults.heal()
        await eventually(lambda: is_well(element))

        assert told["jobs"] == {
            "status": "degraded",
            "detail": f"failed and is tried again, see the log of this element: {job} (RuntimeError)",
        }
        assert stored.status == 201


async def test_a_job_that_fails_when_it_is_stopped_is_stopped() -> None:
    jobs = Jobs(Counter("failures", "What failed.", ["job"], registry=CollectorRegistry()))
    is_working = asyncio.Event()

    async def fail_when_stopped() -> None:
        try:
            is_working.set()
            await asyncio.sleep(PATIENCE)
        finally:
            raise RuntimeError("a defect")

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail_when_stopped())

    job = asyncio.create_task(jobs.repeat("work", work, every=0.01))
    await is_working.wait()

    job.cancel()
    await asyncio.wait([job], timeout=PATIENCE)

    assert job.cancelled()


async def has_failed(element: ElementClient, job: str, *, times: int) -> bool:
    return await element.metric(FAILURES, job=job) >= times


async def is_well(element: ElementClient) -> bool:
    return (await checks(element))["jobs"]["status"] == "ok"


async def checks(element: ElementClient) -> dict[str, dict[str, str]]:
    """What readiness says of each thing that it looks at, whatever it says of all together."""
    found: dict[str, dict[str, str]] = (await element.request("GET", "/health/ready")).json()["checks"]
    return found

"""Work that is done again and again, whatever becomes of one time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from artstore.core.repetition import repeat
from artstore.core.spec import UnavailableError
from tests.services.admin.harness import eventually


class Work:
    """Fails with one error after another, and then no more."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self._errors:
            raise self._errors.pop(0)

    async def wait_for(self, times: int) -> None:
        async def are_reached() -> bool:
            return self.times >= times

        await eventually(are_reached)


@asynccontextmanager
async def repeating(work: Work) -> AsyncGenerator[asyncio.Task[None], None]:
    task = asyncio.create_task(repeat("work", work, every=0))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_failure_is_told_when_it_begins_and_ends_nothing() -> None:
    away, bug = UnavailableError("away"), KeyError("bug")
    work = Work(away, away, bug, bug, away)
    with capture_logs() as logs:
        async with repeating(work):
            await work.wait_for(7)

    assert [(log["job"], log["reason"]) for log in logs] == [
        ("work", "away"),
        ("work", "KeyError"),
        ("work", "away"),
    ]


async def test_what_fails_again_after_it_went_well_is_told_again() -> None:
    class Unsteady(Work):
        async def __call__(self) -> None:
            await super().__call__()
            if self.times % 2:
                raise UnavailableError("away")

    work = Unsteady()
    with capture_logs() as logs:
        async with repeating(work):
            await work.wait_for(6)

    assert len(logs) >= 3


async def test_who_is_told_to_end_while_the_work_fails_ends() -> None:
    class Stubborn(Work):
        async def __call__(self) -> None:
            self.times += 1
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise UnavailableError("forgets that it was cancelled") from None

    work = Stubborn()
    async with repeating(work) as task:
        await work.wait_for(1)

    assert task.cancelled()
    assert work.times == 1

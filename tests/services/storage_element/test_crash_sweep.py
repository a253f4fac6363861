"""A kill, a power cut or a failing disk at each change of the disk in turn, through HTTP."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.testing import IssuerServer
from tests.services.storage_element.mortality import Kind
from tests.services.storage_element.nursery import Nursery, opened_nursery
from tests.services.storage_element.sweeps import COURSES, DEADLY, HEADER, LOGS, SURVIVED, Sweep


@pytest.fixture
async def nursery() -> AsyncGenerator[Nursery, None]:
    async with opened_nursery() as nursery:
        yield nursery


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kind", [*DEADLY, *SURVIVED])
async def test_whatever_happens_at_some_changes_of_the_disk_an_element_keeps_its_promise(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path, kind: Kind, log: str
) -> None:
    sweep = Sweep(nursery, issuer.jwks_url, tmp_path, kind, LOGS[log], COURSES["files"])

    tally = await sweep.run(lambda step: 3 * step + 5, first=4)

    assert tally.violations == []
    assert tally.points > 1


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kind", DEADLY)
async def test_what_is_held_or_wanted_back_is_there_wherever_an_element_was_killed(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path, kind: Kind, log: str
) -> None:
    sweep = Sweep(nursery, issuer.jwks_url, tmp_path, kind, LOGS[log], COURSES["holds"])

    tally = await sweep.run(lambda step: 2 * step + 15, first=15)

    assert tally.violations == []
    assert tally.points > 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kind", [*DEADLY, *SURVIVED])
async def test_whatever_happens_at_every_change_of_the_disk_an_element_keeps_its_promise(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path, kind: Kind, log: str, course: str
) -> None:
    sweep = Sweep(nursery, issuer.jwks_url, tmp_path, kind, LOGS[log], COURSES[course])

    tally = await sweep.run(lambda step: step + 1)

    print(f"\n{HEADER}\n{tally.row(kind, log, course)}")
    assert tally.violations == []
    assert tally.acknowledged == tally.whole
    assert tally.points > 5

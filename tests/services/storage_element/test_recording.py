"""Who changed what is recorded wherever an element is killed: an intent knows who asked for the change."""

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientError

from artstore.core.testing import IssuerServer
from tests.services.storage_element.accounts import recorded
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.faulty_storage import Faults, down
from tests.services.storage_element.harness import (
    MINT,
    SPOOL,
    TEMPORARY,
    ElementClient,
    element_settings,
    in_catalog,
    running_element,
)
from tests.services.storage_element.mortality import Misfortune
from tests.services.storage_element.nursery import Nursery, opened_nursery
from tests.services.storage_element.test_consistency import checked, repaired

QUIET: Final = {"interval": 0}
"""Garbage is collected only when it is asked for."""
FIRST_CHANGE: Final = Misfortune("killed recording", 1)


@pytest.fixture
async def nursery() -> AsyncGenerator[Nursery, None]:
    async with opened_nursery() as nursery:
        yield nursery


def changes(data: Path) -> list[dict[str, Any]]:
    """Records of changes, the oldest first."""
    return [record for record in recorded(data) if "change" in record]


def recording(data: Path, issuer: IssuerServer) -> AbstractAsyncContextManager[ElementClient]:
    """An element without a commit log, so that the catalog and the tree are all there is."""
    storage = {"type": "local", "root": "storage", "commit_log_size": 0}
    settings = element_settings(data, jwks_url=issuer.jwks_url, storage=storage)
    return running_element(settings, has_trail=True)


async def test_what_a_killed_element_had_not_recorded_yet_is_recorded_at_its_next_start(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path
) -> None:
    async with nursery.element(tmp_path, issuer.jwks_url, FIRST_CHANGE) as child:
        with pytest.raises(ClientError):
            await child.client.put(b"content", headers={"X-Request-ID": "the-upload"})
        assert await child.stop() != 0
    assert changes(tmp_path) == []

    async with nursery.element(tmp_path, issuer.jwks_url) as child:
        (file_id,) = await child.client.file_ids()
        await child.kill()
    async with nursery.element(tmp_path, issuer.jwks_url):
        (record,) = changes(tmp_path)  # once
    assert (record["event"], record["outcome"]) == ("put_content", "succeeded")
    assert record["actor"]["client_id"] == MINT.claims()["client_id"]
    assert (record["request_id"], record["client_address"]) == ("the-upload", "127.0.0.1")
    assert record["resource"] == f"/api/v1/files/{file_id}/content"
    assert record["reason"] == "recorded by recovery: the change is complete"
    assert "status" not in record  # nobody was answered


async def test_what_was_recorded_is_not_recorded_again_though_the_catalog_knows_nothing_of_that(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    async with recording(tmp_path, issuer) as element:
        await element.stored()
    (record,) = changes(tmp_path)
    as_if_killed(tmp_path, record, status="committed")

    async with recording(tmp_path, issuer):
        assert changes(tmp_path) == [record]


async def test_what_is_undone_is_recorded_as_that(issuer: IssuerServer, tmp_path: Path) -> None:
    async with recording(tmp_path, issuer) as element:
        await element.stored()
    (record,) = changes(tmp_path)
    shutil.rmtree(tmp_path / SPOOL)
    as_if_killed(tmp_path, record, status="pending")
    in_catalog(tmp_path, "DELETE FROM catalog_files")
    for sidecar in (tmp_path / "storage").glob("[0-9]*/**/*.attr.json"):
        sidecar.unlink()

    async with recording(tmp_path, issuer) as element:
        assert await element.file_ids() == []

    (undone,) = changes(tmp_path)
    assert (undone["outcome"], undone["detail"]["settled"]) == ("failed", "rolled_back")
    assert undone["actor"] == record["actor"]


async def test_each_file_that_is_collected_is_recorded_with_who_asked_for_that_even_after_a_kill(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    clock = FakeClock()
    settings = element_settings(tmp_path, jwks_url=issuer.jwks_url, element={"collection": QUIET})
    async with running_element(settings, clock=clock, has_trail=True) as element:
        ids = [(await element.stored(**TEMPORARY, ttl_days=1))["file_id"] for _ in range(2)]
        clock.advance(days=3)
        run = {"X-Request-ID": "the-run"}
        answer = await element.request("POST", "/api/v1/gc", json={"dry_run": False}, headers=run)
    collected = {record["resource"]: record for record in changes(tmp_path) if is_removal(record)}
    shutil.rmtree(tmp_path / SPOOL)
    as_if_killed(tmp_path, collected[f"/api/v1/files/{ids[0]}"], status="committed")
    async with running_element(settings, clock=clock, has_trail=True):
        belated = [record for record in changes(tmp_path) if is_removal(record)]

    assert answer.json()["found"]["expired"]["removed"] == 2
    assert collected.keys() == {f"/api/v1/files/{file_id}" for file_id in ids}
    for record in collected.values():
        assert (record["kind"], record["outcome"]) == ("sensitive_operation", "succeeded")
        assert record["actor"]["client_id"] == MINT.claims()["client_id"]
        assert record["request_id"] == "the-run"
        assert record["detail"]["why"] == "expired"
    assert {record["resource"] for record in belated} == {f"/api/v1/files/{ids[0]}"}
    assert belated[0]["reason"] == "recorded by recovery: the change is complete"


async def test_what_could_not_be_collected_is_recorded_as_that(issuer: IssuerServer, tmp_path: Path) -> None:
    clock, faults = FakeClock(), Faults(has_batches=False)
    settings = element_settings(tmp_path, jwks_url=issuer.jwks_url, element={"collection": QUIET})
    async with running_element(settings, wrap=faults.wrap, clock=clock, has_trail=True) as element:
        file_id = (await element.stored(**TEMPORARY, ttl_days=1))["file_id"]
        clock.advance(days=3)
        faults.storage.fault_before_put = down
        await element.request("POST", "/api/v1/gc", json={"dry_run": False})
        faults.heal()
        kept = await element.file_ids()

    (record,) = filter(is_removal, changes(tmp_path))
    assert (record["outcome"], record["detail"]["settled"]) == ("failed", "rolled_back")
    assert kept == [file_id]


async def test_each_repair_is_recorded(issuer: IssuerServer, tmp_path: Path) -> None:
    async with recording(tmp_path, issuer) as element:
        file_id = (await element.stored())["file_id"]
        (sidecar,) = [path for path in await element.placed_files() if path.name.endswith(".attr.json")]
        sidecar.unlink()
        await checked(element)
        await repaired(element, "lost_sidecar")

    (record,) = [record for record in recorded(tmp_path) if record["event"] == "inconsistency_repaired"]
    assert record["resource"] == f"/api/v1/files/{file_id}"
    assert record["actor"]["client_id"] == MINT.claims()["client_id"]
    assert record["detail"]["why"] == "lost_sidecar"
    assert sidecar.exists()


def is_removal(record: dict[str, Any]) -> bool:
    return bool(record["event"] == "garbage_removed")


def as_if_killed(data: Path, record: dict[str, Any], *, status: str) -> None:
    """The intent of the change is as it was before its record came."""
    happening = {name: value for name, value in record.items() if name not in ("source", "sequence")}
    in_catalog(data, f"UPDATE catalog_wal SET status = '{status}', cause = '{json.dumps(happening)}'")

"""Checkpoints: signed, stored where the database's master does not reach, and what they then give away."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from artstore.core.audit.checkpoints import Checkpoint, read_public_key
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import AdminClient, ElementServer, eventually, sql, sql_in
from tests.services.admin.test_audit import ingester_record
from tests.services.admin.test_audit_red_team import forge

LOG = "/api/v1/audit-log"
OFTEN = {"checkpoint_interval": 1.0}
SELDOM = {"checkpoint_interval": 3600.0}


@pytest.fixture
def with_element(start: StartAdmin, element: ElementServer) -> StartAdmin:
    """Starts an admin that knows the element and signs checkpoints every second."""

    @asynccontextmanager
    async def started(**sections: Any) -> AsyncGenerator[AdminClient, None]:
        async with start(elements=[element.url], **{"audit": OFTEN, **sections}) as admin:
            yield admin

    return started


async def verified(admin: AdminClient) -> dict[str, Any]:
    """What verifying the log says."""
    report: dict[str, Any] = await admin.get(f"{LOG}/verify")
    return report


async def published(admin: AdminClient) -> dict[str, Any]:
    """The newest checkpoint, once one is on the element."""
    wanted = "SELECT document FROM audit_checkpoints WHERE element_id IS NOT NULL ORDER BY number"
    rows = await eventually(lambda: sql(admin, wanted))
    document: dict[str, Any] = json.loads(rows[-1][0])
    return document


async def covered(admin: AdminClient) -> dict[str, Any]:
    """The newest checkpoint, once it covers all that is there now and is on the element."""
    await admin.get(LOG)
    ((last,),) = await sql(admin, "SELECT MAX(position) FROM audit_log")

    async def is_covered() -> list[tuple[Any, ...]]:
        return await sql(
            admin,
            "SELECT document FROM audit_checkpoints WHERE size >= :last AND element_id IS NOT NULL",
            {"last": last},
        )

    rows = await eventually(is_covered)
    document: dict[str, Any] = json.loads(rows[-1][0])
    return document


async def test_a_checkpoint_is_signed_and_found_with_nothing_but_the_storage(
    with_element: StartAdmin, tmp_path: Path
) -> None:
    async with with_element() as admin:
        await admin.create_account()
        document = await covered(admin)
        public_key = (await admin.get(f"{LOG}/checkpoint"))["public_key"]

    path, *_ = (tmp_path / "se-01" / "storage").rglob(
        f"audit-checkpoint-{document['number']:08}_*[0-9a-f].json"
    )
    stored = Checkpoint.from_json(path.read_bytes())
    assert stored.model_dump(mode="json") == document
    assert stored.is_signed_by(read_public_key(public_key.encode()))
    attributes = json.loads(path.with_name(f"{path.name}.attr.json").read_bytes())
    assert attributes["tags"] == ["audit-checkpoint"]
    assert attributes["retention"]["policy"] == "permanent"
    kept_until = datetime.fromisoformat(attributes["retention"]["expires_at"])
    assert kept_until - datetime.now(UTC) > timedelta(days=7 * 365)


async def test_checkpoints_vouch_for_what_is_verified(with_element: StartAdmin) -> None:
    async with with_element() as admin:
        await admin.create_account()
        document = await covered(admin)

        report = await verified(admin)

        assert report["is_sound"], report
        assert report["checkpoints"] >= document["number"]
        assert report["covered_to"] >= document["size"]


async def test_a_checkpoint_comes_early_when_there_are_many_records(
    start: StartAdmin, element: ElementServer
) -> None:
    async with start(elements=[element.url], audit={"checkpoint_records": 5}) as admin:
        for number in range(12):
            await admin.create_account(f"account-{number}")
        await admin.get(LOG)

        async def are_three() -> bool:
            return len(await sql(admin, "SELECT 1 FROM audit_checkpoints")) >= 3

        await eventually(are_three)
        for (document,) in await sql(admin, "SELECT document FROM audit_checkpoints"):
            assert len(json.loads(document)["leaves"]) <= 5
        assert (await verified(admin))["is_sound"]


async def test_an_older_copy_of_the_database_is_named_after_a_restart(
    with_element: StartAdmin, tmp_path: Path
) -> None:
    async with with_element() as admin:
        await covered(admin)
    older = save(tmp_path)
    async with with_element() as admin:
        await admin.create_account("what-the-attacker-did")
        await covered(admin)
        known = (await verified(admin))["covered_to"]
    put_back(older, tmp_path)

    async with with_element() as admin:
        report = await verified(admin)

    assert not report["is_sound"]
    assert report["fault"]["position"] <= known


async def test_a_log_that_was_set_back_and_went_on_is_named(with_element: StartAdmin, tmp_path: Path) -> None:
    async with with_element() as admin:
        await covered(admin)
        before = (await verified(admin))["last_position"]
    older = save(tmp_path)
    async with with_element() as admin:
        await admin.create_account("what-the-attacker-did")
        await covered(admin)
    put_back(older, tmp_path)

    async with with_element() as admin:
        for number in range(10):
            await admin.create_account(f"account-{number}")

        async def is_noticed() -> bool:
            return await admin.check("audit-checkpoints") != "ok"

        await eventually(is_noticed)
        report = await verified(admin)

    assert before < report["fault"]["position"] <= before + 8
    assert "checkpoint" in report["fault"]["reason"]


async def test_a_log_that_was_wiped_out_with_all_that_tells_of_it_is_named(
    with_element: StartAdmin, tmp_path: Path
) -> None:
    async with with_element() as admin:
        await covered(admin)
        for table in ("audit_log", "audit_head", "audit_checkpoints"):
            await sql(admin, f"DELETE FROM {table}")
    shutil.rmtree(tmp_path / "audit")

    async with with_element() as admin:
        assert (await verified(admin))["fault"]["position"] == 1


async def test_whoever_has_the_audit_key_too_is_named(with_element: StartAdmin, tmp_path: Path) -> None:
    """A rebuilt chain has right seals then; the signed tree on the element has other leaves."""
    async with with_element() as admin:
        await admin.create_account()
        await covered(admin)
    (first,) = (
        await sql_in(tmp_path, "SELECT MIN(position) FROM audit_log WHERE event = 'create_service_account'")
    )[0]
    await asyncio.to_thread(
        forge, tmp_path, key=(tmp_path / "secrets" / "audit-key").read_bytes().strip(), change_from=first
    )

    async with with_element() as admin:
        assert (await verified(admin))["fault"]["position"] == first


async def test_what_was_touched_is_never_signed(with_element: StartAdmin) -> None:
    async with with_element() as admin:
        await published(admin)
    async with with_element(audit=SELDOM) as admin:
        first = await admin.get(f"{LOG}/checkpoint")
        await admin.create_account()
        await admin.get(LOG)
        await sql(admin, "UPDATE audit_log SET mac = REPLACE(mac, 'a', 'b')")
    async with with_element() as admin:

        async def is_refused() -> bool:
            return await admin.check("audit-checkpoints") != "ok"

        await eventually(is_refused)
        newest = await admin.get(f"{LOG}/checkpoint")
        assert newest == first


async def test_records_are_pruned_behind_a_checkpoint_and_the_rest_is_sound(
    with_element: StartAdmin, tmp_path: Path
) -> None:
    async with with_element() as admin:
        await admin.create_account()
        document = await covered(admin)
    await sql_in(tmp_path, "UPDATE audit_checkpoints SET created_at = created_at - 86400000000 * 2557")

    async with with_element() as admin:

        async def are_pruned() -> bool:
            return not await sql(admin, "SELECT 1 FROM audit_log WHERE position <= :size", document)

        await eventually(are_pruned)
        report = await verified(admin)
        (pruned,) = (await admin.get(LOG, event="audit_log_pruned"))["items"]

    assert report["is_sound"], report
    assert report["first_position"] == pruned["record"]["detail"]["through"] + 1


async def test_records_that_were_taken_away_behind_a_checkpoint_are_missed(
    with_element: StartAdmin, tmp_path: Path
) -> None:
    async with with_element() as admin:
        document = await covered(admin)
        await admin.create_account()
        await covered(admin)
        await sql(admin, "DELETE FROM audit_log WHERE position <= :size", {"size": document["size"]})

        assert (await verified(admin))["fault"]["position"] == 1


async def test_without_an_element_checkpoints_wait_and_the_readiness_says_so(start: StartAdmin) -> None:
    async with start(audit=OFTEN) as admin:

        async def is_told() -> bool:
            return await admin.check("audit-checkpoints") != "ok"

        await eventually(is_told)
        assert (await admin.metric("artstore_audit_checkpoints_signed_total") or 0) >= 1
        assert await admin.metric("artstore_audit_checkpoints_published_total") == 0


async def test_half_pruned_the_rest_is_sound_and_exported(with_element: StartAdmin, tmp_path: Path) -> None:
    """As while it is under way: many records go bit by bit."""
    async with with_element() as admin:
        await admin.create_account()
        document = await covered(admin)
    async with with_element(audit=SELDOM) as admin:
        await sql(admin, "CREATE TABLE kept AS SELECT * FROM audit_log WHERE position <= :size", document)
    await sql_in(tmp_path, "UPDATE audit_checkpoints SET created_at = created_at - 86400000000 * 2557")
    async with with_element() as admin:

        async def are_pruned() -> bool:
            return not await sql(admin, "SELECT 1 FROM audit_log WHERE position <= :size", document)

        await eventually(are_pruned)
        through = (await verified(admin))["first_position"] - 1
    await sql_in(tmp_path, "UPDATE audit_checkpoints SET created_at = created_at + 86400000000 * 2557")
    await sql_in(tmp_path, f"INSERT INTO audit_log SELECT * FROM kept WHERE position BETWEEN 2 AND {through}")

    async with with_element(audit=SELDOM) as admin:
        report = await verified(admin)
        exported = (await admin.request("GET", f"{LOG}/export")).body.splitlines()

    assert report["is_sound"], report
    assert report["first_position"] == json.loads(exported[0])["position"] == through + 1


async def test_the_age_of_the_newest_checkpoint_is_measured(with_element: StartAdmin) -> None:
    async with with_element() as admin:
        await published(admin)
    async with with_element(audit=SELDOM) as admin:

        async def age() -> float | None:
            return await admin.metric("artstore_audit_checkpoint_age_seconds")

        first = await eventually(age)
        assert first is not None

        async def is_older() -> bool:
            return (await age() or 0.0) > first

        await eventually(is_older)


def save(data: Path) -> bytes:
    """The database of a stopped admin."""
    with closing(sqlite3.connect(data / "index.db")) as database:
        return database.serialize()


def put_back(content: bytes, data: Path) -> None:
    """An older database in the place of the one of a stopped admin; what waited in spools is gone, too."""
    for path in data.glob("index.db*"):
        path.unlink()
    (data / "index.db").write_bytes(content)
    shutil.rmtree(data / "audit")


async def test_no_role_vouches_for_records_that_were_taken_away(with_element: StartAdmin) -> None:
    async with with_element() as admin:
        await admin.create_account()
        document = await covered(admin)
        pretence = {
            **ingester_record(1),
            "event": "audit_log_pruned",
            "detail": {"through": document["size"]},
        }
        token = await admin.token(admin.credentials("ingester"))
        await admin.request("POST", f"{LOG}/records", token=token, json={"records": [pretence]})

        await sql(admin, "DELETE FROM audit_log WHERE position <= :size", document)

        assert (await verified(admin))["fault"]["position"] == 1

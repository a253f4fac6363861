"""An attacker who may write anything into the database, but has no key: what verifying says each time."""

import asyncio
import hashlib
import hmac
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import AdminClient, eventually, run_sql, sql, sql_at_once, sql_in

LOG = "/api/v1/audit-log"
RECORDS = 12


@pytest.fixture
async def log(admin: AdminClient) -> AdminClient:
    """An admin with a log of a dozen records and more."""
    for number in range(RECORDS):
        await admin.create_account(f"account-{number}")
    report = await verified(admin)
    assert report["is_sound"], report
    assert report["last_position"] >= RECORDS
    return admin


async def verified(admin: AdminClient) -> dict[str, Any]:
    """What verifying the log says."""
    report: dict[str, Any] = await admin.get(f"{LOG}/verify")
    return report


async def first_bad(admin: AdminClient) -> int | None:
    """The position that verifying names."""
    fault = (await verified(admin)).get("fault")
    return None if fault is None else int(fault["position"])


async def test_an_edited_record_is_named(log: AdminClient) -> None:
    await sql(log, "UPDATE audit_log SET record = REPLACE(record, '201', '403') WHERE position = 6")

    assert await first_bad(log) == 6


@pytest.mark.parametrize(
    "change",
    [
        "occurred_at = occurred_at - 1",
        "actor = 'somebody'",
        "outcome = 'failed'",
        "outcome = 'unheard of'",
        "resource = NULL",
        "request_id = 'another'",
        "mac = SUBSTR(mac, 2) || SUBSTR(mac, 1, 1)",
        "mac = 'no hex'",
        "record = '{}'",
        "record = 'no json'",
        "sequence = sequence + 1000",
    ],
)
async def test_an_edited_column_is_named(log: AdminClient, change: str) -> None:
    await sql(log, f"UPDATE audit_log SET {change} WHERE position = 7")

    assert await first_bad(log) == 7


async def test_a_deleted_record_is_named(log: AdminClient) -> None:
    await sql(log, "DELETE FROM audit_log WHERE position = 5")

    assert await first_bad(log) == 5


async def test_a_deleted_record_is_named_when_those_after_it_are_moved_up(log: AdminClient) -> None:
    await sql_at_once(
        log,
        "DELETE FROM audit_log WHERE position = 5",
        "UPDATE audit_log SET position = -position WHERE position > 5",
        "UPDATE audit_log SET position = -position - 1 WHERE position < 0",
    )

    assert await first_bad(log) == 5


async def test_a_deleted_beginning_is_named(log: AdminClient) -> None:
    await sql(log, "DELETE FROM audit_log WHERE position < 4")

    assert await first_bad(log) == 1


async def test_an_inserted_record_is_named(log: AdminClient) -> None:
    await sql_at_once(
        log,
        "UPDATE audit_log SET position = -position WHERE position >= 5",
        "UPDATE audit_log SET position = -position + 1 WHERE position < 0",
        "INSERT INTO audit_log SELECT 5, 'forged', 1, occurred_at, kind, event, outcome, role, actor,"
        " client_address, request_id, resource, REPLACE(record, source, 'forged'), mac"
        " FROM audit_log WHERE position = 4",
    )

    assert await first_bad(log) == 5


async def test_records_that_changed_places_are_named(log: AdminClient) -> None:
    await sql_at_once(
        log,
        "UPDATE audit_log SET position = CASE position WHEN 5 THEN -6 ELSE -5 END WHERE position IN (5, 6)",
        "UPDATE audit_log SET position = -position WHERE position < 0",
    )

    assert await first_bad(log) == 5


async def test_a_record_after_the_end_is_named(log: AdminClient) -> None:
    last = (await verified(log))["last_position"]
    await sql(
        log,
        "INSERT INTO audit_log SELECT position + 1, 'forged', 1, occurred_at, kind, event, outcome, role,"
        " actor, client_address, request_id, resource, record, mac FROM audit_log ORDER BY position DESC"
        " LIMIT 1",
    )

    assert await first_bad(log) == last + 1


async def test_a_truncated_end_is_named(start: StartAdmin, log: AdminClient) -> None:
    last = (await verified(log))["last_position"]
    await sql(log, "DELETE FROM audit_log WHERE position > :last", {"last": last - 3})

    assert await first_bad(log) == last - 2


async def test_a_truncated_end_with_an_end_written_to_match_is_named(log: AdminClient) -> None:
    last = (await verified(log))["last_position"]
    await sql_at_once(
        log,
        f"DELETE FROM audit_log WHERE position > {last - 3}",
        f"UPDATE audit_head SET position = {last - 3}, mac = (SELECT mac FROM audit_log"
        f" WHERE position = {last - 3})",
    )

    assert await first_bad(log) == last - 2


async def test_a_truncated_end_stays_named_when_the_log_goes_on(log: AdminClient) -> None:
    last = (await verified(log))["last_position"]
    await sql(log, "DELETE FROM audit_log WHERE position > :last", {"last": last - 3})

    await log.create_account("after")
    await log.get(LOG)

    assert await first_bad(log) == last - 2


async def test_an_older_copy_of_all_tables_is_named_by_the_process_that_knew_more(log: AdminClient) -> None:
    tables = ("audit_log", "audit_head", "audit_checkpoints")
    await sql_at_once(log, *(f"CREATE TABLE copy_of_{table} AS SELECT * FROM {table}" for table in tables))
    last = (await sql(log, "SELECT MAX(position) FROM audit_log"))[0][0]
    await log.create_account("what-the-attacker-did")
    await log.get(LOG)

    await sql_at_once(
        log,
        *(f"DELETE FROM {table}" for table in tables),
        *(f"INSERT INTO {table} SELECT * FROM copy_of_{table}" for table in tables),
    )
    await log.create_account("after")
    await log.get(LOG)

    assert await first_bad(log) == last + 1


async def test_a_log_that_was_emptied_is_named(log: AdminClient) -> None:
    await sql(log, "DELETE FROM audit_log")

    assert await first_bad(log) == 1


async def test_a_whole_log_that_was_made_without_the_key_is_named(log: AdminClient) -> None:
    await sql_in(log.data, "DELETE FROM audit_log WHERE position > 8")
    await asyncio.to_thread(forge, log.data)

    assert await first_bad(log) == 1


async def test_what_is_not_sound_is_not_sound_after_a_restart(start: StartAdmin) -> None:
    async with start() as admin:
        for number in range(3):
            await admin.create_account(f"account-{number}")
        await admin.get(LOG)
    await sql_in(
        admin.data, "UPDATE audit_log SET record = REPLACE(record, '\"admin', '\"nimda') WHERE position = 3"
    )
    shutil.rmtree(admin.data / "audit")

    async with start() as admin:
        assert await first_bad(admin) == 3


@pytest.mark.parametrize(
    "change",
    [
        "audit_log SET mac = 'no hex' WHERE position = (SELECT MAX(position) FROM audit_log)",
        "audit_head SET mac = 'no hex'",
        "audit_head SET seal = 'no hex'",
        "audit_head SET position = 'nowhere'",
    ],
)
async def test_nothing_that_is_written_at_the_end_stops_the_log(log: AdminClient, change: str) -> None:
    await sql(log, f"UPDATE {change}")

    await log.create_account("after")

    (told,) = (await log.get(LOG, event="audit_log_broken_off"))["items"]
    (made, *_) = (await log.get(LOG, event="create_service_account"))["items"]
    assert made["position"] > told["position"]
    assert not (await verified(log))["is_sound"]


async def test_a_number_that_is_written_ahead_keeps_nothing_from_the_log(log: AdminClient) -> None:
    await sql(log, "UPDATE audit_log SET sequence = 9007199254740991 WHERE position = 7")

    await log.create_account("after")

    assert len((await log.get(LOG, event="create_service_account"))["items"]) == RECORDS + 1
    assert await first_bad(log) == 7


async def test_what_does_not_come_into_the_log_is_told_and_comes_when_it_can(log: AdminClient) -> None:
    await sql(log, "ALTER TABLE audit_head RENAME COLUMN seal TO gone")
    await log.create_account("after")

    async def is_told() -> bool:
        return await log.check("audit") == "degraded"

    await eventually(is_told)
    await sql(log, "ALTER TABLE audit_head RENAME COLUMN gone TO seal")

    async def is_there() -> bool:
        return len((await log.get(LOG, event="create_service_account"))["items"]) == RECORDS + 1

    await eventually(is_there)
    assert (await verified(log))["is_sound"]


async def test_whoever_lists_a_record_that_is_none_is_told(log: AdminClient) -> None:
    await sql(log, "UPDATE audit_log SET record = '{}' WHERE position = 7")

    answer = await log.request("GET", LOG)

    assert (answer.status, answer.problem) == (500, "corrupted")
    assert "verify" in answer.json()["detail"]
    assert (await log.request("GET", f"{LOG}?before=7")).status == 200


def forge(data: Path, *, key: bytes = b"k" * 64, change_from: int = 1) -> None:
    """Change records and rebuild the chain consistently, as the format says, with ``key``."""

    def run(statement: str, **values: object) -> list[tuple[Any, ...]]:
        return run_sql(data, statement, values)

    mac, position = bytes(32), 0
    for position, text in run("SELECT position, record FROM audit_log ORDER BY position"):
        record = orjson.loads(text)
        if position >= change_from:
            record |= {"resource": "/what/nobody/did"}
        forged = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        mac = hmac.digest(key, b"record\0" + position.to_bytes(8) + mac + forged, hashlib.sha256)
        run(
            "UPDATE audit_log SET record = :record, mac = :mac, resource = :resource WHERE position = :at",
            record=forged.decode(),
            resource=record.get("resource"),
            mac=mac.hex(),
            at=position,
        )
    seal = hmac.digest(key, b"head\0" + position.to_bytes(8) + mac, hashlib.sha256)
    run(
        "UPDATE audit_head SET position = :position, mac = :mac, seal = :seal",
        position=position,
        mac=mac.hex(),
        seal=seal.hex(),
    )

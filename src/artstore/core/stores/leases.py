"""Leases: which process does a background job now."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from datetime import timedelta
from typing import Final

from artstore.core.spec import Database, Dialect, PreconditionFailedError, Transaction
from artstore.core.stores.rows import Record, StoredTime

# The database's clock: the hosts of several processes need not agree on the time.
_NOW: Final[dict[Dialect, str]] = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
}


class Lease(Record):
    """The right to do one job until ``expires_at``.

    ``fencing_token`` grows with every change of holder. What a job writes is checked against it
    (:func:`require_lease`), so that a holder that slept through its lease cannot write any more.
    """

    name: str
    holder: str
    fencing_token: int
    expires_at: StoredTime


class LeasesStore:
    """Gives each lease to one holder at a time, by the clock of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = _NOW[database.dialect]

    async def acquire(self, name: str, *, holder: str, duration: timedelta) -> Lease | None:
        """The lease, if nobody holds it now; ``None`` if somebody does, be it ``holder`` itself."""
        return await self._change(
            "INSERT INTO leases (name, holder, fencing_token, expires_at)"
            f" VALUES (:name, :holder, 1, {self._now} + :duration)"
            " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,"
            " fencing_token = leases.fencing_token + 1, expires_at = excluded.expires_at"
            f" WHERE leases.expires_at <= {self._now}",
            {"name": name, "holder": holder, "duration": duration // timedelta(microseconds=1)},
        )

    async def renew(self, lease: Lease, *, duration: timedelta) -> Lease | None:
        """The lease with ``duration`` from now; ``None`` when it is lost: stop the job."""
        return await self._change(
            f"UPDATE leases SET expires_at = {self._now} + :duration"
            f" WHERE name = :name AND fencing_token = :token AND expires_at > {self._now}",
            {
                "name": lease.name,
                "token": lease.fencing_token,
                "duration": duration // timedelta(microseconds=1),
            },
        )

    async def release(self, lease: Lease) -> None:
        """Let others have it at once. Idempotent; a lease that was lost already is not an error."""
        # The row stays: its token must go on growing.
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE leases SET expires_at = 0 WHERE name = :name AND fencing_token = :token",
                {"name": lease.name, "token": lease.fencing_token},
            )

    async def _change(self, sql: str, parameters: dict[str, str | int]) -> Lease | None:
        async with self._database.transaction() as transaction:
            if await transaction.execute(sql, parameters) == 0:
                return None
            row = await transaction.fetch_one(
                "SELECT * FROM leases WHERE name = :name", {"name": parameters["name"]}
            )
        return None if row is None else Lease.from_row(row)


async def require_lease(transaction: Transaction, lease: Lease) -> None:
    """Let the transaction go on only while nobody else has taken the lease since.

    Raises:
        PreconditionFailedError: somebody has.
    """
    row = await transaction.fetch_one(
        "SELECT holder FROM leases WHERE name = :name AND fencing_token = :token",
        {"name": lease.name, "token": lease.fencing_token},
    )
    if row is None:
        raise PreconditionFailedError(f"the lease {lease.name} is no longer held by {lease.holder}")

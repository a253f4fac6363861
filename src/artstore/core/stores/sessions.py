"""Sessions of people: a login, and the refresh tokens that followed each other since.

What is kept of a refresh token is its SHA-256: it holds enough random bits to resist guessing. A token is
used once. Whoever uses it again has a copy of somebody's token, and since nobody can tell the thief from
the owner, the session ends for both (RFC 9700 section 4.14.2).
"""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import hashlib
from datetime import datetime, timedelta
from typing import Final

from artstore.core.revocation import Revocation
from artstore.core.spec import Database, Parameters, Transaction
from artstore.core.stores.revocations import add_revocation
from artstore.core.stores.rows import Record, StoredTime, insert_sql, to_microseconds

_LEEWAY: Final = timedelta(minutes=1)
"""More than verifiers allow beyond the end of a token."""


_FIND: Final = "SELECT * FROM refresh_tokens WHERE token_hash = :hash"


class RefreshToken(Record):
    """One refresh token, and the access token that was issued with it."""

    token_hash: str
    session_id: str
    person_id: str
    is_used: bool = False
    expires_at: StoredTime
    access_token_id: str
    access_expires_at: StoredTime


class SessionsStore:
    """The sessions that have not ended. Their end revokes the access tokens that are still good."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, token: RefreshToken, *, revision: int, at: datetime) -> bool:
        """Keep the first token of a session, unless the person was changed after ``revision``."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "DELETE FROM refresh_tokens WHERE expires_at <= :now", {"now": to_microseconds(at)}
            )
            return await _keep(transaction, token, revision)

    async def find(self, token: str) -> RefreshToken | None:
        """What is known of a token, which may have been used or have expired."""
        row = await self._database.fetch_one(_FIND, {"hash": hash_of(token)})
        return None if row is None else RefreshToken.from_row(row)

    async def rotate(self, old: RefreshToken, new: RefreshToken, *, revision: int, at: datetime) -> bool:
        """Use ``old`` up for ``new``; whether that could be done.

        Where it was used already, the session ends.
        """
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(_FIND, {"hash": old.token_hash})
            if row is None:
                return False
            found = RefreshToken.from_row(row)
            if found.is_used:
                await _end(transaction, "session_id = :id", {"id": found.session_id}, at=at)
                return False
            await transaction.execute(
                "UPDATE refresh_tokens SET is_used = :used WHERE token_hash = :hash",
                {"used": True, "hash": found.token_hash},
            )
            return found.expires_at > at and await _keep(transaction, new, revision)

    async def end_by_access_token(self, token_id: str, *, at: datetime) -> bool:
        """End the session in which an access token was issued; whether there was one."""
        return await self._end_of(
            "SELECT * FROM refresh_tokens WHERE access_token_id = :id", {"id": token_id}, at=at
        )

    async def end_by_refresh_token(self, token: str, *, at: datetime) -> bool:
        """End the session of a refresh token, be it the last one or not; whether there was one."""
        return await self._end_of(_FIND, {"hash": hash_of(token)}, at=at)

    async def _end_of(self, find: str, parameters: Parameters, *, at: datetime) -> bool:
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(find, parameters)
            if row is None:
                return False
            session_id = RefreshToken.from_row(row).session_id
            await _end(transaction, "session_id = :id", {"id": session_id}, at=at)
            return True


async def end_sessions(transaction: Transaction, person_id: str, *, at: datetime) -> None:
    """End all sessions of a person, together with whatever else ``transaction`` changes."""
    await _end(transaction, "person_id = :id", {"id": person_id}, at=at)


def hash_of(token: str) -> str:
    """What is kept of a refresh token: 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


async def _keep(transaction: Transaction, token: RefreshToken, revision: int) -> bool:
    # What has changed since the person was read has ended their sessions: this one must not outlive that.
    unchanged = await transaction.fetch_one(
        "SELECT 1 AS found FROM people WHERE id = :id AND revision = :revision",
        {"id": token.person_id, "revision": revision},
    )
    if unchanged is None:
        return False
    await transaction.execute(insert_sql("refresh_tokens", RefreshToken), token.to_row())
    return True


async def _end(transaction: Transaction, where: str, parameters: Parameters, *, at: datetime) -> None:
    rows = await transaction.fetch_all(f"SELECT * FROM refresh_tokens WHERE {where}", parameters)
    for token in map(RefreshToken.from_row, rows):
        if token.access_expires_at + _LEEWAY > at:
            await add_revocation(transaction, _revocation(token, at))
    await transaction.execute(f"DELETE FROM refresh_tokens WHERE {where}", parameters)


def _revocation(token: RefreshToken, at: datetime) -> Revocation:
    return Revocation(
        token_id=token.access_token_id, revoked_at=at, expires_at=token.access_expires_at + _LEEWAY
    )

"""How one statement runs on a connection, in whichever thread owns it."""

import sqlite3
from collections.abc import Sequence

from artstore.core.spec import Parameters, Row


def fetch_one(connection: sqlite3.Connection, sql: str, parameters: Parameters | None) -> Row | None:
    cursor = connection.execute(sql, parameters or {})
    try:
        row = cursor.fetchone()
        return None if row is None else dict(zip(_columns(cursor), row, strict=True))
    finally:
        cursor.close()  # an unfinished statement would hold its snapshot, and the log could not shrink


def fetch_all(connection: sqlite3.Connection, sql: str, parameters: Parameters | None) -> Sequence[Row]:
    cursor = connection.execute(sql, parameters or {})
    rows = cursor.fetchall()
    columns = _columns(cursor)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def execute(connection: sqlite3.Connection, sql: str, parameters: Parameters | None) -> int:
    return max(connection.execute(sql, parameters or {}).rowcount, 0)  # -1 for what changes no rows


def executemany(connection: sqlite3.Connection, sql: str, batch: Sequence[Parameters]) -> None:
    """Run ``sql`` for all of ``batch`` or for nothing."""
    if len(batch) < 2:  # one statement undoes itself
        connection.executemany(sql, batch)
        return
    connection.execute("SAVEPOINT batch")
    try:
        connection.executemany(sql, batch)
    except Exception:
        if connection.in_transaction:  # SQLite gives up the whole transaction on a full disk
            connection.execute("ROLLBACK TO batch")
            connection.execute("RELEASE batch")
        raise
    connection.execute("RELEASE batch")


def _columns(cursor: sqlite3.Cursor) -> list[str]:
    return [column[0] for column in cursor.description]

"""Identifiers: of files, of their rows in a database, and of what passes."""

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

_NAMESPACE: Final = UUID("b251e20a-16e3-46ef-9748-6f54cdcb345d")
"""Never changes: retried uploads find their first attempt by it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TIME_BITS: Final = 53
_FILE_BITS: Final = 10
_random: Final = Random()  # noqa: S311 - what it is for tells things apart and guards nothing
# Or both would go on with the same ids.
os.register_at_fork(after_in_child=_random.seed)


def random_id(*, bits: int) -> str:
    """Random bits, in hex. Not from the kernel: giving up the interpreter's lock for that costs more."""
    return f"{_random.getrandbits(bits):0{bits // 4}x}"


def new_file_id() -> UUID:
    """A new UUID, version 7: it grows with time (RFC 9562 section 5.7)."""
    return uuid7()


def idempotent_file_id(principal: str, key: str) -> UUID:
    """The one id for an ``Idempotency-Key`` of a principal, so that a retry meets its first attempt.

    UUID version 5, nested, so that no principal can spell its name into another's keys.
    """
    return uuid5(uuid5(_NAMESPACE, principal), key)


def row_id(created_at: datetime, file_id: UUID) -> int:
    """A positive integer of 63 bits that orders rows by creation time.

    Newest-first listings then walk the primary key backwards, in every table and in the full-text
    index, and never sort. 53 bits of microseconds last until the year 2255; 10 bits of the id make it
    unlikely, not impossible, that two files of one microsecond share a row id. Times outside the range
    take its nearest end.
    """
    microseconds = (created_at - _EPOCH) // _MICROSECOND
    time = max(0, min(microseconds, (1 << _TIME_BITS) - 1))
    return time << _FILE_BITS | file_id.int & ((1 << _FILE_BITS) - 1)

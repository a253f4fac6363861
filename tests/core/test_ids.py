"""Identifiers grow with time, and retries find the same one."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from artstore.core.ids import idempotent_file_id, new_file_id, row_id

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2255, 1, 1), timezones=st.just(UTC))
MICROSECOND = timedelta(microseconds=1)


def test_new_ids_are_version_7_and_grow() -> None:
    ids = [new_file_id() for _ in range(1000)]

    assert {file_id.version for file_id in ids} == {7}
    assert {type(file_id) for file_id in ids} == {UUID}
    assert ids == sorted(set(ids))


def test_a_retry_has_the_id_of_its_first_attempt() -> None:
    first = idempotent_file_id("service-1", "order-17")

    assert idempotent_file_id("service-1", "order-17") == first
    assert first == UUID("5728499c-3703-5b6e-be9d-4e2443ce6f3e")


def test_keys_of_different_principals_never_meet() -> None:
    ids = {
        idempotent_file_id("ab", "c"),
        idempotent_file_id("a", "bc"),
        idempotent_file_id("abc", ""),
        idempotent_file_id("c", "ab"),
    }

    assert len(ids) == 4


@given(times=st.tuples(TIMES, TIMES), files=st.tuples(st.uuids(), st.uuids()))
def test_row_ids_are_ordered_by_time(times: tuple[datetime, datetime], files: tuple[UUID, UUID]) -> None:
    earlier, later = sorted(times)
    later = max(later, earlier + MICROSECOND)

    assert row_id(earlier, files[0]) < row_id(later, files[1])


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_row_id_is_a_positive_integer_of_63_bits_whatever_the_time(time: datetime, file_id: UUID) -> None:
    assert 0 <= row_id(time, file_id) < 2**63


def test_files_of_one_microsecond_get_different_row_ids_from_their_ids() -> None:
    now = datetime.now(UTC)

    ids = {row_id(now, new_file_id()) for _ in range(50)}

    assert len(ids) > 25


def test_the_row_id_is_the_same_on_every_rebuild() -> None:
    time = datetime(2026, 11, 22, 15, 3, 14, 123456, tzinfo=UTC)

    assert row_id(time, UUID(int=5)) == 1795359794123456 * 1024 + 5


def test_a_forked_process_makes_other_ids() -> None:
    program = (
        "import os; from artstore.core.ids import new_file_id, random_id\n"
        "random_id(bits=64), new_file_id()\n"
        "for _ in range(2):\n"
        "    if (child := os.fork()) == 0:\n"
        "        print(random_id(bits=64), new_file_id(), flush=True); os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "print(random_id(bits=64), new_file_id())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    ids = ran.stdout.split()
    assert len(set(ids)) == len(ids) == 6

"""Byte ranges: what a header asks for, for every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artstore.core.http.ranges import MAX_RANGES, content_range, parse_ranges
from artstore.core.spec import ByteRange, RangeNotSatisfiableError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", [ByteRange(0, 0)]),
        ("bytes=0-", [ByteRange(0, 99)]),
        ("bytes=90-200", [ByteRange(90, 99)]),
        ("bytes=-1", [ByteRange(99, 99)]),
        ("bytes=-1000", [ByteRange(0, 99)]),
        ("Bytes = 5-6", [ByteRange(5, 6)]),
        ("bytes=0-1, 50-51", [ByteRange(0, 1), ByteRange(50, 51)]),
        ("bytes=50-51,0-1", [ByteRange(50, 51), ByteRange(0, 1)]),
        ("bytes=0-10,5-20", [ByteRange(0, 20)]),
        ("bytes=0-10,11-20", [ByteRange(0, 20)]),
        pytest.param(f"bytes=0-{'9' * 5000}", [ByteRange(0, 99)], id="far end"),
        pytest.param(f"bytes=-{'9' * 5000}", [ByteRange(0, 99)], id="long suffix"),
        pytest.param(f"bytes={'0' * 5000}1-1", [ByteRange(1, 1)], id="zeros"),
        ("bytes=0-1,500-", [ByteRange(0, 1)]),
    ],
)
def test_a_set_of_ranges_is_understood(header: str, expected: list[ByteRange]) -> None:
    assert parse_ranges(header, size=100) == expected


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=٠-١",
            "bytes=5-4",
            "bytes=-",
            "items=0-1",
            "bytes=0-1,x",
            "bytes=1--2",
        ),
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4 * MAX_RANGES, 2)),
    ],
)
def test_what_is_no_set_of_ranges_is_ignored(header: str) -> None:
    assert parse_ranges(header, size=1000) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), (f"bytes={'9' * 5000}-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_ranges_outside_the_file_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiableError) as raised:
        parse_ranges(header, size=size)

    assert raised.value.size == size


@given(
    size=st.integers(0, 10_000),
    specs=st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 12_000)), min_size=1, max_size=8),
)
def test_every_answer_lies_within_the_file_and_holds_all_that_was_asked(
    size: int, specs: list[tuple[int, int]]
) -> None:
    specs = [(min(spec), max(spec)) for spec in specs]
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in specs)

    try:
        ranges = parse_ranges(header, size=size)
    except RangeNotSatisfiableError:
        assert all(first >= size for first, _ in specs)
        return

    assert ranges is not None
    sent = [offset for found in ranges for offset in range(found.start, found.end + 1)]
    asked = {offset for first, last in specs for offset in range(first, min(last, size - 1) + 1)}
    assert set(sent) == asked
    assert len(sent) == len(asked) or len(ranges) == len(specs)


def test_content_range_names_both_ends_and_the_size() -> None:
    assert content_range(ByteRange(5, 9), size=10) == "bytes 5-9/10"

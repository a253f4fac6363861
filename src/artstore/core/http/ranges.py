"""Range requests (RFC 9110 section 14): from the ``Range`` header to byte ranges of one size."""

import re
from collections.abc import Sequence
from typing import Final

from artstore.core.spec import ByteRange, RangeNotSatisfiableError

MAX_RANGES: Final = 32
"""More ranges than this in one request are answered with the whole: RFC 9110 section 14.2 allows it,
and many small ranges are a known way to make a server work (RFC 9110 section 17.15)."""

_SPEC: Final = re.compile(r"[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*")
LONGEST_NUMBER: Final = 18
"""Digits. A longer one is beyond every file: it means the same as the largest of this length."""


def parse_ranges(header: str, *, size: int) -> Sequence[ByteRange] | None:
    """The ranges that ``header`` asks of a representation of ``size`` bytes, in the order asked for.

    ``None`` when the header is to be ignored: another unit, a malformed set, too many ranges.
    Overlapping or adjacent ranges are joined when there are several.

    Raises:
        RangeNotSatisfiableError: well formed, but no range lies within the representation.
    """
    unit, separator, specs = header.partition("=")
    if unit.strip().lower() != "bytes" or not separator:
        return None
    asked = specs.split(",")
    if len(asked) > MAX_RANGES:
        return None
    ranges: list[ByteRange] = []
    for spec in asked:
        match = _SPEC.fullmatch(spec)
        if match is None or not (match[1] or match[2]):
            return None
        first, last = _number(match[1]), _number(match[2])
        if first is not None and last is not None and first > last:
            return None
        if (found := _resolve(first, last, size)) is not None:
            ranges.append(found)
    if not ranges:
        raise RangeNotSatisfiableError(size=size)
    return _joined(ranges)


def content_range(byte_range: ByteRange, *, size: int) -> str:
    """The value of ``Content-Range``."""
    return f"bytes {byte_range.start}-{byte_range.end}/{size}"


def _number(digits: str) -> int | None:
    significant = digits.lstrip("0")
    if len(significant) > LONGEST_NUMBER:
        return int("9" * LONGEST_NUMBER)
    return int(significant or "0") if digits else None


def _resolve(first: int | None, last: int | None, size: int) -> ByteRange | None:
    if first is None:  # the last so many bytes
        length = min(last or 0, size)
        return ByteRange(size - length, size - 1) if length else None
    end = size - 1 if last is None else min(last, size - 1)
    return ByteRange(first, end) if first < size else None


def _joined(ranges: Sequence[ByteRange]) -> Sequence[ByteRange]:
    """Ranges that overlap or touch become one, so that nothing is sent twice (RFC 9110 section 14.2)."""
    in_order = sorted(ranges, key=lambda found: found.start)
    joined = [in_order[0]]
    for following in in_order[1:]:
        if following.start <= joined[-1].end + 1:
            joined[-1] = ByteRange(joined[-1].start, max(joined[-1].end, following.end))
        else:
            joined.append(following)
    return ranges if len(joined) == len(ranges) else joined

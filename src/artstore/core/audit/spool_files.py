"""The files of a spool: appended to, read from their beginning, removed when all they have was shipped."""

import fcntl
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEGMENT_SIZE: Final = 4 * 1024 * 1024
"""Bytes. A segment is removed as a whole, so this much may be shipped again after a kill."""

_PATTERN: Final = "*.jsonl"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A byte in a spool: number of the segment, offset in it."""

    segment: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines, and the place behind them."""

    lines: Sequence[bytes]
    end: Place


@dataclass(frozen=True, slots=True)
class Adopted:
    """Whole lines that were taken over, and their bytes."""

    lines: int = 0
    size: int = 0


class SpoolFiles:
    """One process's directory. Every method blocks: call them in a thread, one that writes at a time.

    A directory is its process's as long as that lives, by a lock that ends with it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None
        self._writing: int | None = None
        self._end = Place()

    def take(self) -> bool:
        """Make the directory if it is not there, and lock it; whether nobody else has it.

        Raises:
            OSError: it cannot be made.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    @contextmanager
    def waiting_for_it(self) -> Generator[None, None, None]:
        """Hold the lock of the directory, however long another process has it."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def adopt(self, other: Path) -> Adopted:
        """Take over what a process that is gone has left in ``other``.

        Nothing happens while that process lives, or when another is taking it over.
        """
        left = SpoolFiles(other)
        if not left.take():
            return Adopted()
        try:
            lines = size = 0
            for _, path in left._segments():
                content = path.read_bytes()
                lines, size = lines + content.count(b"\n"), size + content.rfind(b"\n") + 1
                path.rename(self.directory / _name(self._next_number()))
            other.rmdir()
            return Adopted(lines, size)
        finally:
            left.close()

    def close(self) -> None:
        """Let go of the directory."""
        for descriptor in (self._writing, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._writing = self._lock = None

    def append(self, lines: Sequence[bytes]) -> Place:
        """Put ``lines`` on stable storage; the place behind them.

        Raises:
            OSError: they may be there or not; the next append writes to another segment.
        """
        if self._writing is None or self._end.offset >= SEGMENT_SIZE:
            self._begin_segment()
        assert self._writing is not None, "a segment was just begun"
        content = b"".join(line + b"\n" for line in lines)
        try:
            written, offset = memoryview(content), self._end.offset
            while written:
                count = os.pwrite(self._writing, written, offset)
                written, offset = written[count:], offset + count
            os.fdatasync(self._writing)
        except OSError:
            self._end_segment()
            raise
        self._end = Place(self._end.segment, offset)
        return self._end

    def read(self, start: Place, *, limit: int, end: Place | None = None) -> Batch:
        """Whole lines from ``start`` on, about ``limit`` bytes; nothing beyond ``end``."""
        for number, path in self._segments():
            if number < start.segment or (end is not None and number > end.segment):
                continue
            begin = start.offset if number == start.segment else 0
            stop = end.offset if end is not None and number == end.segment else None
            content = _read(path, begin, limit if stop is None else min(limit, stop - begin))
            complete = content[: content.rfind(b"\n") + 1]
            if complete:
                return Batch(complete.splitlines(), Place(number, begin + len(complete)))
        return Batch((), start)

    def lines(self) -> Iterator[bytes]:
        """Every whole line that is there."""
        for _, path in self._segments():
            yield from path.read_bytes().rpartition(b"\n")[0].splitlines()

    def discard(self, place: Place) -> None:
        """What is before ``place`` has been shipped: remove the segments that have nothing else."""
        for number, path in self._segments():
            if number < place.segment and number != self._end.segment:
                path.unlink()
        if place == self._end and self._writing is not None and place.offset >= SEGMENT_SIZE // 4:
            self._end_segment()
            (self.directory / _name(place.segment)).unlink()

    def _begin_segment(self) -> None:
        self._end_segment()
        number = self._next_number()
        path = self.directory / _name(number)
        self._writing = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._end = Place(number, 0)
        assert self._lock is not None, "only who has the directory appends"
        os.fsync(self._lock)

    def _next_number(self) -> int:
        return max([self._end.segment, *(number for number, _ in self._segments())]) + 1

    def _end_segment(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _segments(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in self.directory.glob(_PATTERN))


def _name(number: int) -> str:
    return f"{number:010}.jsonl"


def _read(path: Path, offset: int, limit: int) -> bytes:
    """From ``offset``, and on to the end of the line at the limit."""
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(max(0, limit))
        if content and not content.endswith(b"\n"):
            content += file.readline()
        return content

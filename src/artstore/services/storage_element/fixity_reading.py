"""Reads objects again and hashes them: from the medium, where it can, and leaving the cache as it was."""

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from artstore.core.http.verification import Hasher, batches
from artstore.core.spec import ArtStoreError, CorruptedError, LocalPaths, NotFoundError, StorageBackend
from artstore.services.storage_element.fixity_records import Subject, Verdict

MIB: Final = 1024 * 1024
LARGEST_PART: Final = 8 * MIB
SMALLEST_PART: Final = 64 * 1024
READ_SIZE: Final = MIB
ATTEMPTS: Final = 3
"""How often a file is asked for that the storage does not give out now."""
PAUSE: Final = 0.2
"""Seconds between two attempts."""


class Pace:
    """Keeps to a budget of bytes per second."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._free_at = time.monotonic()
        self.part_size = min(LARGEST_PART, max(SMALLEST_PART, budget // 4))
        """Bytes to read between two looks at the clock: a quarter of a second's."""

    async def spend(self, size: int) -> None:
        """``size`` bytes were read: wait for as long as that may take."""
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size / self._budget
        await asyncio.sleep(self._free_at - now)


class FixityReader:
    """Gives verdicts. Memory stays bounded whatever the sizes."""

    def __init__(self, storage: StorageBackend, pace: Pace) -> None:
        self._storage = storage
        self._pace = pace

    async def check(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """A verdict on each of ``subjects``."""
        paths = self._storage.capabilities.local_paths
        verdicts: list[Verdict] = []
        for group in _groups(subjects, size=self._pace.part_size):
            if paths is None:
                verdicts += [await self._check_object(subject) for subject in group]
            else:
                verdicts += await self._check_files(paths, group)
        return verdicts

    async def _check_files(self, paths: LocalPaths, group: Sequence[Subject]) -> list[Verdict]:
        """Small files are read by one call of a thread; a large one takes several."""
        if len(group) == 1:
            found = [await self._check_file(paths, group[0])]
        else:
            found = await asyncio.to_thread(_read_files, paths, group)
            await self._pace.spend(sum(verdict.read for verdict in found if verdict is not None))
        # A file that is not good may be on its way to where it is read: the storage has the last word.
        return [
            verdict
            if verdict is not None and verdict.outcome == "good"
            else await self._check_object(subject)
            for subject, verdict in zip(group, found, strict=True)
        ]

    async def _check_file(self, paths: LocalPaths, subject: Subject) -> Verdict | None:
        file: _File | None = None
        try:
            file = await asyncio.to_thread(_File, paths, subject)
            for start in range(0, subject.size, self._pace.part_size):
                await asyncio.to_thread(file.hash, start, min(subject.size, start + self._pace.part_size))
                await self._pace.spend(min(subject.size - start, self._pace.part_size))
            return file.verdict()
        except OSError:
            return None
        finally:
            if file is not None:
                await asyncio.to_thread(file.close)

    async def _check_object(self, subject: Subject) -> Verdict:
        """By the contract of the storage; what may be a passing failure is tried again."""
        started = time.perf_counter()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._hash_object(subject)
            except NotFoundError:
                return Verdict(subject, "missing", _since(started), detail="there are no data")
            except CorruptedError as error:
                return Verdict(subject, "damaged", _since(started), detail=error.detail)
            except ArtStoreError as error:
                if attempt == ATTEMPTS:
                    return Verdict(subject, "unreadable", _since(started), detail=error.detail)
                await asyncio.sleep(PAUSE)
        raise AssertionError("the last attempt returns")

    async def _hash_object(self, subject: Subject) -> Verdict:
        hasher, busy, read = Hasher(), 0.0, 0
        async with self._storage.get(subject.key) as reader:
            size = reader.info.size
            if size != subject.size:
                return subject.found(size=size, sha256=None, microseconds=0)
            async for batch in batches(reader.chunks):
                started = time.perf_counter()
                await asyncio.to_thread(hasher.add_chunks, batch)
                busy += time.perf_counter() - started
                read += sum(map(len, batch))
                await self._pace.spend(sum(map(len, batch)))
        return subject.found(size=read, sha256=hasher.digest, microseconds=round(busy * 1e6))


def _groups(subjects: Sequence[Subject], *, size: int) -> Iterator[list[Subject]]:
    """In their order, as many together as have ``size`` bytes in all; a larger one is alone."""
    group, length = list[Subject](), 0
    for subject in subjects:
        if group and length + subject.size > size:
            yield group
            group, length = [], 0
        group.append(subject)
        length += subject.size
    if group:
        yield group


def _read_files(paths: LocalPaths, group: Sequence[Subject]) -> list[Verdict | None]:
    verdicts: list[Verdict | None] = []
    for subject in group:
        verdict: Verdict | None = None
        with suppress(OSError):
            file = _File(paths, subject)
            try:
                file.hash(0, subject.size)
                verdict = file.verdict()
            finally:
                file.close()
        verdicts.append(verdict)
    return verdicts


class _File:
    """A plain file that is being read again. All of it blocks.

    What the page cache holds proves nothing of the medium, so it is dropped before it is read, and left
    out afterwards unless it was there: a scrub does not push out what is in use.
    """

    def __init__(self, paths: LocalPaths, subject: Subject) -> None:
        self._busy = 0.0
        self._subject = subject
        self._digest = hashlib.sha256()
        self._descriptor = paths.open(subject.key)
        status = os.fstat(self._descriptor)
        self._size = status.st_size
        if not stat.S_ISREG(status.st_mode) or self._size != subject.size:
            self.close()
            raise OSError("the storage has to say what this is")
        self._was_cached = _is_cached(self._descriptor, 0) and _is_cached(self._descriptor, self._size - 1)
        if self._was_cached:
            self._advise(0, self._size, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        os.close(self._descriptor)

    def hash(self, start: int, end: int) -> None:
        """Hash the bytes from ``start`` up to ``end``; those after them are read ahead meanwhile."""
        started = time.perf_counter()
        buffer = memoryview(bytearray(min(READ_SIZE, end - start)))
        at = start
        while at < end:
            self._advise(at + READ_SIZE, 2 * READ_SIZE, os.POSIX_FADV_WILLNEED)
            count = os.preadv(self._descriptor, [buffer[: end - at]], at)
            if not count:
                raise OSError("the file was cut")
            self._digest.update(buffer[:count])
            at += count
        if not self._was_cached:
            self._advise(start, end - start, os.POSIX_FADV_DONTNEED)
        self._busy += time.perf_counter() - started

    def verdict(self) -> Verdict:
        """On what was hashed."""
        return self._subject.found(
            size=self._size,
            sha256=self._digest.hexdigest(),
            microseconds=round(self._busy * 1e6),
        )

    def _advise(self, start: int, length: int, advice: int) -> None:
        if start < self._size:
            os.posix_fadvise(self._descriptor, start, length, advice)


def _is_cached(descriptor: int, offset: int) -> bool:
    try:
        return os.preadv(descriptor, [bytearray(1)], max(0, offset), os.RWF_NOWAIT) == 1
    except OSError:
        return False


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1e6)

"""What `put` and `verify` have in common: many files, several at once, and a report of each that failed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from artstore.cli.local_files import LocalFile, find, printable
from artstore.cli.output import TransferProgress, print_failure
from artstore.core.spec import ArtStoreError


class FailedFile(BaseModel):
    """A file for which it was not done, and why."""

    path: str
    error: str


class FilesReport(BaseModel):
    """What became of the files."""

    skipped: int = 0
    failed: list[FailedFile] = Field(default_factory=list[FailedFile])

    def add_failure(self, path: Path, why: str) -> None:
        """Say on standard error that a file failed, and remember it."""
        name = printable(str(path))
        self.failed.append(FailedFile(path=name, error=why))
        print_failure(name, why)


def find_files(paths: Sequence[Path], *, recursive: bool, report: FilesReport) -> list[LocalFile]:
    """The regular files below ``paths``; what is none is counted or reported."""
    files: list[LocalFile] = []
    for found in find(paths, recursive=recursive):
        if isinstance(found, LocalFile):
            files.append(found)
        elif found.is_failure:
            report.add_failure(found.path, found.reason)
        else:
            report.skipped += 1
    return files


async def for_each_file(
    files: Sequence[LocalFile],
    work: Callable[[LocalFile], Awaitable[None]],
    *,
    jobs: int,
    report: FilesReport,
    progress: TransferProgress,
) -> None:
    """Do ``work`` for each, ``jobs`` at once; a file that fails does not stop the others."""
    waiting = iter(files)

    async def work_on() -> None:
        for file in waiting:
            try:
                await work(file)
            except (ArtStoreError, OSError) as error:
                why = error.detail if isinstance(error, ArtStoreError) else error.strerror or str(error)
                report.add_failure(file.path, why)
            progress.finish_file()

    async with asyncio.TaskGroup() as group:
        for _ in range(jobs):
            group.create_task(work_on())

"""`artstore verify`: proves that the archive gives back, byte for byte, what lies in local files."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.local_files import LocalFile, measure
from artstore.cli.many_files import FilesReport, find_files, for_each_file
from artstore.cli.output import (
    JsonOption,
    TransferProgress,
    console,
    print_json,
    size_text,
    transfer_progress,
)
from artstore.cli.reading import find as find_in_archive
from artstore.cli.reading import receive
from artstore.core.search import SearchCriteria


class VerifyReport(FilesReport):
    """What was compared, and what did not hold."""

    verified: int = 0
    verified_size: int = 0


@dataclass(slots=True)
class Verifier:
    """Compares local files with the archive by digest."""

    archive: Archive
    report: VerifyReport
    progress: TransferProgress
    sink: BinaryIO
    download: bool

    async def verify_all(self, files: Sequence[LocalFile], *, jobs: int) -> None:
        """Compare ``files``, ``jobs`` at once; a file that fails does not stop the others."""
        await for_each_file(files, self._verify, jobs=jobs, report=self.report, progress=self.progress)

    async def _verify(self, file: LocalFile) -> None:
        why = await self._compare(file)
        if why is None:
            self.report.verified += 1
            self.report.verified_size += file.size
        else:
            self.report.add_failure(file.path, why)

    async def _compare(self, file: LocalFile) -> str | None:
        """Why the archive does not prove this file, ``None`` when it does."""
        digest, _ = await asyncio.to_thread(measure, file.path)
        page = await find_in_archive(self.archive, SearchCriteria(query=digest, mode="exact", limit=1))
        if not page.items:
            return "is not in the archive with this content"
        if not self.download:
            self.progress.advance(file.size)
            return None
        received = await receive(self.archive, page.items[0].file_id, self.sink, self.progress)
        return None if received == digest else f"the archive gave back other bytes (SHA-256 {received})"


def verify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders with --recursive.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Include everything below folders.")
    ] = False,
    download: Annotated[
        bool,
        typer.Option(
            "--download/--no-download", help="Read every file back, or trust the digests in the index."
        ),
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Number of files at a time.")] = 8,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Compare local files with the archive by digest, reading every byte back."""
    report = VerifyReport()
    files = find_files(paths, recursive=recursive, report=report)
    size = sum(file.size for file in files)
    with (
        transfer_progress("verifying", files=len(files), size=size) as progress,
        open(os.devnull, "wb") as sink,
    ):
        with_archive(
            data,
            profile,
            lambda archive: Verifier(archive, report, progress, sink, download).verify_all(files, jobs=jobs),
        )
    print_json(report) if json else _print_summary(report)
    if report.failed:
        raise typer.Exit(1)


def _print_summary(report: VerifyReport) -> None:
    console.print(
        f"verified {report.verified} files ({size_text(report.verified_size)}), "
        f"{report.skipped} links and special files skipped, {len(report.failed)} failed"
    )

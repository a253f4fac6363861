"""`artstore put`: files and folders into the archive, in parallel, resumable by running it again."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from pydantic import Field

from artstore.cli.arguments import attributes as parse_attributes
from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.copies import PATH_ATTRIBUTE, find_copy
from artstore.cli.file_bodies import FileBody
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
from artstore.core.client.roles import parse
from artstore.core.exchange import UploadAnswer
from artstore.core.http.bodies import repr_digest
from artstore.core.http.problems import RemoteError
from artstore.core.spec import (
    ArtStoreError,
    ConfigurationError,
    InvalidRequestError,
    ModeNotAllowedError,
    UnavailableError,
)
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes

FILES_PATH: Final = "/api/v1/files"
ATTEMPTS: Final = 4
RETRY_DELAY: Final = 0.5
"""Seconds before the second attempt; doubled for each further one."""


class PutReport(FilesReport):
    """What was stored, what had been before, and what was not.

    ``repaired`` had been, too, but a check had found it damaged.
    """

    stored: list[UploadAnswer] = Field(default_factory=list[UploadAnswer])
    repaired: list[UploadAnswer] = Field(default_factory=list[UploadAnswer])
    already_stored: int = 0


@dataclass(frozen=True, slots=True)
class _Target:
    """What a file is sent to. It is the same in every attempt, so that repeating is harmless."""

    method: str
    path: str
    headers: Mapping[str, str]

    @classmethod
    def new(cls) -> "_Target":
        """A file that is not there yet."""
        return cls("POST", FILES_PATH, {"Idempotency-Key": str(uuid.uuid4())})

    @classmethod
    def of(cls, file_id: UUID) -> "_Target":
        """A file whose bytes are to be put back."""
        return cls("PUT", f"{FILES_PATH}/{file_id}/content", {})


@dataclass(slots=True)
class Putter:
    """Stores files with what all of them have in common."""

    archive: Archive
    common: UploadAttributes
    report: PutReport
    progress: TransferProgress

    async def put_all(self, files: Sequence[LocalFile], *, jobs: int) -> None:
        """Store ``files``, ``jobs`` at once; a file that fails does not stop the others."""
        await for_each_file(
            files, self._put_unless_stored, jobs=jobs, report=self.report, progress=self.progress
        )

    async def _put_unless_stored(self, file: LocalFile) -> None:
        digest, size = await asyncio.to_thread(measure, file.path)
        file = replace(file, size=size)  # as it is now: it was found some time ago
        copy = await find_copy(self.archive, file, digest)
        if copy is None:
            self.report.stored.append(await self._upload_unchanged(file, digest, _Target.new()))
        elif copy.is_damaged:
            await self._repair(file, digest, copy.file_id)
        else:
            self.report.already_stored += 1
            self.progress.advance(file.size)

    async def _repair(self, file: LocalFile, digest: str, file_id: UUID) -> None:
        """Put the bytes back; where the storage element takes none any more, store them elsewhere."""
        try:
            self.report.repaired.append(await self._upload_unchanged(file, digest, _Target.of(file_id)))
        except RemoteError as error:
            if error.remote_code != ModeNotAllowedError.code:
                raise
            self.report.stored.append(await self._upload_unchanged(file, digest, _Target.new()))

    async def _upload_unchanged(self, file: LocalFile, digest: str, target: _Target) -> UploadAnswer:
        try:
            return await self._upload(file, digest, target)
        except ArtStoreError as error:
            if await asyncio.to_thread(measure, file.path) != (digest, file.size):
                raise InvalidRequestError("the file changed while it was read: run put again") from error
            raise

    async def _upload(self, file: LocalFile, digest: str, target: _Target) -> UploadAnswer:
        """Try until it is stored, whatever became of the first try."""
        delay = RETRY_DELAY
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._send(file, digest, target)
            except UnavailableError:
                await asyncio.sleep(delay)
                delay *= 2
        return await self._send(file, digest, target)

    async def _send(self, file: LocalFile, digest: str, target: _Target) -> UploadAnswer:
        attributes = self.common.model_copy(
            update={
                "original_filename": file.name,
                "custom_attributes": {PATH_ATTRIBUTE: file.archive_path, **self.common.custom_attributes},
            }
        )
        headers = {
            ATTRIBUTES_HEADER: attributes.encode_header(),
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.size),
            "Repr-Digest": repr_digest(digest),
            **target.headers,
        }
        url = self.archive.url("ingester", target.path)
        body = FileBody(file, self.progress)
        try:
            async with self.archive.client.request(
                target.method, url, headers=headers, data=body, deadline=None
            ) as response:
                return parse(UploadAnswer, await response.read())
        except ArtStoreError:
            body.take_back()
            raise


def put(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders with --recursive.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Include everything below folders.")
    ] = False,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for every file; may be repeated.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A custom attribute; may be repeated.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="A description for every file.")] = None,
    retention: Annotated[
        str, typer.Option(metavar="POLICY", help="permanent, temporary, or temporary:DAYS.")
    ] = "permanent",
    retain_until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Until when permanent files are kept. Default: for ever."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Number of files at a time.")] = 8,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Store files. Those already stored with the same path and digest are skipped, or repaired if damaged."""
    attributes = parse_attributes(attribute)
    if PATH_ATTRIBUTE in attributes:
        raise ConfigurationError(f"--attribute {PATH_ATTRIBUTE}=… is set by put itself: choose another name")
    common = _common_attributes(
        tag or [], attributes, description=description, retention=retention, retain_until=retain_until
    )
    report = PutReport()
    files = find_files(paths, recursive=recursive, report=report)
    with transfer_progress("storing", files=len(files), size=sum(file.size for file in files)) as progress:
        with_archive(
            data,
            profile,
            lambda archive: Putter(archive, common, report, progress).put_all(files, jobs=jobs),
        )
    print_json(report) if json else _print_summary(report)
    if report.failed:
        raise typer.Exit(1)


def _common_attributes(
    tags: list[str],
    attributes: dict[str, str],
    *,
    description: str | None,
    retention: str,
    retain_until: str | None,
) -> UploadAttributes:
    policy, separator, days = retention.partition(":")
    values: dict[str, object] = {
        "original_filename": "any",
        "tags": tags,
        "custom_attributes": attributes,
        "description": description,
        "retention_policy": policy,
        "ttl_days": days if separator else None,
        "expires_at": retain_until,
    }
    return validated(UploadAttributes, values)


def _print_summary(report: PutReport) -> None:
    size = sum(each.file_size for each in report.stored)
    repaired = f"{len(report.repaired)} repaired, " if report.repaired else ""
    console.print(
        f"stored {len(report.stored)} files ({size_text(size)}), {repaired}"
        f"{report.already_stored} were stored already, {report.skipped} links and special files skipped, "
        f"{len(report.failed)} failed"
    )

"""`artstore finalize`: a temporary file becomes permanent."""

import asyncio
from typing import Annotated, Final
from uuid import UUID

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, TransferProgress, console, print_json, transfer_progress
from artstore.cli.reading import FileIdArgument
from artstore.core.client.roles import parse
from artstore.core.finalization import FinalizationAnswer, FinalizationRequest
from artstore.core.spec import ArtStoreError

FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 2.0
"""Seconds between two questions how far it is, which double."""


def finalize(
    file_id: FileIdArgument,
    to: Annotated[
        str | None,
        typer.Option(metavar="ELEMENT", help="Where to keep it. Default: an element of mode rw, if any."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the file is permanent.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make a temporary file permanent. This continues in the background; the file no longer expires."""

    async def run(archive: Archive) -> FinalizationAnswer:
        begun = await _start(archive, file_id, to)
        return await _watch(archive, begun) if wait and not begun.is_over else begun

    answer = with_archive(data, profile, run)
    if json:
        print_json(answer)
    elif not answer.has_failed:
        console.print(_told(answer))
    else:
        state = "permanent, and keeps both copies" if answer.is_finalized else "temporary still"
        raise ArtStoreError(f"{file_id} is {state}: {answer.error}")
    if answer.has_failed:
        raise typer.Exit(1)


async def _start(archive: Archive, file_id: UUID, to: str | None) -> FinalizationAnswer:
    url = archive.url("ingester", f"/api/v1/files/{file_id}/finalize")
    body = await archive.client.post(url, FinalizationRequest(element_id=to))
    return parse(FinalizationAnswer, body)


async def _watch(archive: Archive, begun: FinalizationAnswer) -> FinalizationAnswer:
    """Ask until it is over, and show how much has been copied."""
    url = archive.url("ingester", f"/api/v1/finalizations/{begun.finalization_id}")
    pause = FIRST_PAUSE
    with transfer_progress("copying", files=1, size=begun.file_size) as progress:
        before = begun.model_copy(update={"bytes_copied": 0})
        while True:
            answer = await archive.client.get(url, FinalizationAnswer)
            _show(progress, before, answer)
            if answer.is_over:
                return answer
            before = answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)


def _show(progress: TransferProgress, before: FinalizationAnswer, now: FinalizationAnswer) -> None:
    progress.advance(now.bytes_copied - before.bytes_copied)
    if now.is_finalized and not before.is_finalized:
        progress.finish_file()


def _told(answer: FinalizationAnswer) -> str:
    if answer.is_finalized:
        verified = ", copy verified" if answer.checksum_verified else ""
        return f"{answer.file_id}: permanent on {answer.target_element_id}{verified}"
    return (
        f"{answer.file_id}: {answer.status}, from {answer.source_element_id} to {answer.target_element_id}; "
        f"finalization {answer.finalization_id}"
    )

"""`artstore search`, `ls`, `info`, `get`, `rm`: what is in the archive, out of it, and away."""

import asyncio
import hashlib
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, BinaryIO, Final
from uuid import UUID

import typer
from aiohttp import ClientResponse
from pydantic import BaseModel

from artstore.cli.arguments import attributes as parse_attributes
from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.local_files import file_name
from artstore.cli.output import (
    JsonOption,
    TransferProgress,
    console,
    print_json,
    print_table,
    size_text,
    time_text,
    transfer_progress,
)
from artstore.core.client.roles import parse
from artstore.core.exchange import ElementPage, Endpoints
from artstore.core.http.bodies import repr_digest
from artstore.core.restores import RestoreRequest
from artstore.core.search import SearchCriteria, SearchHit, SearchMode, SearchPage
from artstore.core.spec import ConfigurationError, CorruptedError, UnavailableError, UpstreamError

CHUNK: Final = 256 * 1024
FileIdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="Id of a file.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="How many to print.")]


class ClusterInfo(BaseModel):
    """Where the roles are, and the storage elements."""

    endpoints: Endpoints
    elements: ElementPage


def search(
    query: Annotated[str | None, typer.Argument(help="Words, in any inflected form.")] = None,
    mode: Annotated[SearchMode, typer.Option(help="How the query is matched.")] = "fulltext",
    filename: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag that files must have; may be repeated.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An attribute that files must have.")
    ] = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Find files by words in their names, descriptions, tags and attributes."""
    criteria = validated(
        SearchCriteria,
        {
            "query": query,
            "mode": mode,
            "filename": filename,
            "tags": tag or [],
            "attributes": parse_attributes(attribute),
            "limit": limit,
        },
    )
    page = with_archive(data, profile, lambda archive: find(archive, criteria))
    print_json(page) if json else _print_hits(page)


def ls(
    limit: LimitOption = 100,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List files, the newest first."""
    page = with_archive(data, profile, lambda archive: find(archive, SearchCriteria(limit=limit)))
    print_json(page) if json else _print_hits(page)


def info(
    file_id: Annotated[UUID | None, typer.Argument(metavar="ID", help="Id of a file.")] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show everything known about a file, or about the cluster."""
    if file_id is None:
        cluster = with_archive(data, profile, _cluster_info)
        print_json(cluster) if json else _print_cluster(cluster)
        return
    hit = with_archive(data, profile, lambda archive: describe(archive, file_id))
    if json:
        print_json(hit)
    else:
        facts = hit.model_dump(mode="json", exclude_none=True)
        print_table(("field", "value"), [(name, str(value)) for name, value in facts.items()])


def get(
    file_id: FileIdArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it; - is stdout. Default: its own name."
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Download a file, verified against its digest."""
    with_archive(data, profile, lambda archive: _get(archive, file_id, output, force=force))


def rm(
    file_ids: Annotated[list[UUID], typer.Argument(metavar="ID…", help="Ids of files.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Delete files whose retention allows it, if the mode of their storage element does."""
    if not yes:
        typer.confirm(f"Delete {len(file_ids)} files for good?", abort=True, err=True)
    with_archive(data, profile, lambda archive: _delete(archive, file_ids))


async def find(archive: Archive, criteria: SearchCriteria) -> SearchPage:
    """One page of what matches."""
    return parse(SearchPage, await archive.client.post(archive.url("query", "/api/v1/search"), criteria))


async def describe(archive: Archive, file_id: UUID) -> SearchHit:
    """What the index holds of one file."""
    return await archive.client.get(archive.url("query", f"/api/v1/files/{file_id}"), SearchHit)


async def receive(
    archive: Archive, file_id: UUID, sink: BinaryIO, progress: TransferProgress | None = None
) -> str:
    """Write a file's bytes to ``sink``; their SHA-256.

    Raises:
        CorruptedError: the bytes are not those the archive announced, or the archive knows that they
            are damaged.
        UnavailableError: they have to be restored first.
    """
    url = archive.url("query", f"/api/v1/files/{file_id}/download")
    try:
        async with archive.client.request("GET", url, deadline=None) as response:
            if response.status == HTTPStatus.ACCEPTED:
                raise _archived(parse(RestoreRequest, await response.read()))
            digest = await _copy(response, sink, progress)
    except UpstreamError:
        await _require_good(archive, url)
        raise
    announced = response.headers.get("Repr-Digest")
    if announced is not None and announced != repr_digest(digest):
        raise CorruptedError(f"file {file_id} arrived with SHA-256 {digest}, which is not what it has to be")
    return digest


def _archived(request: RestoreRequest) -> UnavailableError:
    return UnavailableError(
        f"file {request.file_id} is in an archive ({request.element_id}) and has to be restored: "
        f"request {request.request_id} is {request.status} since {time_text(request.requested_at)}"
    )


async def _require_good(archive: Archive, url: str) -> None:
    """An element breaks an answer off when it turns out to be damaged, and says so to whoever asks again.

    Raises:
        CorruptedError: that is why.
    """
    async with archive.client.request("GET", url, headers={"Range": "bytes=0-0"}):
        pass


async def _copy(response: ClientResponse, sink: BinaryIO, progress: TransferProgress | None) -> str:
    digest = hashlib.sha256()

    def write(chunk: bytes) -> None:
        digest.update(chunk)
        sink.write(chunk)

    async for chunk in response.content.iter_chunked(CHUNK):
        await asyncio.to_thread(write, chunk)
        if progress is not None:
            progress.advance(len(chunk))
    return digest.hexdigest()


async def _get(archive: Archive, file_id: UUID, output: Path | None, *, force: bool) -> None:
    if output == Path("-"):
        await receive(archive, file_id, sys.stdout.buffer)
        sys.stdout.flush()
        return
    hit = await describe(archive, file_id)
    target = output or Path(file_name(hit.original_filename))
    if await asyncio.to_thread(os.path.lexists, target) and not force:
        raise ConfigurationError(
            f"{target} is there already: name another with -o, or replace it with --force"
        )
    # Beside the target: what has its name is whole and verified.
    partial = target.with_name(f".{file_id}.{os.getpid()}.partial")
    try:
        sink = await asyncio.to_thread(partial.open, "wb")
        with sink, transfer_progress("getting", files=1, size=hit.file_size) as progress:
            await receive(archive, file_id, sink, progress)
        partial.replace(target)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {target}: {error.strerror}; name another file with -o"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    console.print(f"{target}: {size_text(hit.file_size)}, SHA-256 verified", markup=False)


async def _delete(archive: Archive, file_ids: list[UUID]) -> None:
    for file_id in file_ids:
        async with archive.client.request("DELETE", archive.url("admin", f"/api/v1/files/{file_id}")):
            console.print(f"deleted {file_id}")


async def _cluster_info(archive: Archive) -> ClusterInfo:
    return ClusterInfo(
        endpoints=archive.endpoints,
        elements=await archive.client.get(archive.url("admin", "/api/v1/storage-elements"), ElementPage),
    )


def _print_hits(page: SearchPage) -> None:
    rows = [
        (str(hit.file_id), size_text(hit.file_size), time_text(hit.created_at), hit.original_filename)
        for hit in page.items
    ]
    print_table(("id", "size", "created", "name"), rows)
    total = f"{page.total}" if page.total_relation == "eq" else f"more than {page.total}"
    console.print(f"{len(page.items)} of {total}")


def _print_cluster(cluster: ClusterInfo) -> None:
    print_table(("role", "url"), list(cluster.endpoints.model_dump().items()))
    console.print()
    rows = [
        (
            element.element_id,
            element.mode,
            element.status,
            element.capacity.status,
            "unknown" if element.capacity.free is None else size_text(element.capacity.free),
            element.url,
        )
        for element in cluster.elements.items
    ]
    print_table(("element", "mode", "status", "capacity", "free", "url"), rows)

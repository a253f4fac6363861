"""`artstore restore`: an operator's side of getting data back from an archive."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import orjson
import typer
from aiohttp import hdrs
from pydantic import JsonValue

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.file_bodies import FileBody
from artstore.cli.local_files import LocalFile, find, measure, printable
from artstore.cli.output import (
    JsonOption,
    TransferProgress,
    console,
    errors,
    print_failure,
    print_json,
    print_table,
    time_text,
    transfer_progress,
)
from artstore.core.attributes import FileAttributes
from artstore.core.client.roles import parse
from artstore.core.exchange import Element, ElementPage, StoredFile
from artstore.core.http.problems import RemoteError
from artstore.core.restores import (
    RESTORED_FROM,
    RESTORED_FROM_ELEMENT,
    RestoreCompletion,
    RestoredAt,
    RestoreFailure,
    RestorePage,
    RestoreRequest,
    RestoreStatus,
)
from artstore.core.spec import (
    ChecksumMismatchError,
    ConfigurationError,
    NotFoundError,
    PreconditionFailedError,
    UnavailableError,
)
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Restore files from archives.")

_ACTIVE: Final = frozenset[RestoreStatus]({"queued", "restored"})

NameArgument = Annotated[UUID, typer.Argument(metavar="ID", help="Id of a restore request or of a file.")]


@app.command("list")
def list_requests(
    status: Annotated[
        str, typer.Option(metavar="STATUS", help="queued, restored, expired, cancelled, failed, or all.")
    ] = "queued",
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List restore requests, oldest first."""
    requests, silent = with_archive(data, profile, lambda archive: _list(archive, status))
    if json:
        print_json(requests)
    else:
        rows = [
            (
                str(each.request_id),
                each.status,
                each.element_id,
                str(each.file_id),
                each.on_behalf_of or each.requested_by,
                time_text(each.requested_at),
            )
            for each in requests
        ]
        print_table(("request", "status", "element", "file", "for", "requested"), rows)
    for element_id, reason in silent.items():
        print_failure(f"storage element {element_id}", reason)
    if silent:
        raise typer.Exit(1)


@app.command()
def complete(
    name: NameArgument,
    path: Annotated[
        Path,
        typer.Option("--from", metavar="PATH", help="The file as it came from the medium."),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="ELEMENT", help="Element in mode edit. Default: the first with room."),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Put a copy of an archived file where it can be downloaded for a while."""
    [local] = find([path], recursive=False)
    if not isinstance(local, LocalFile):
        raise ConfigurationError(f"cannot read {printable(str(path))}")
    with transfer_progress("restoring", files=1, size=local.size) as progress:
        done = with_archive(data, profile, lambda archive: _complete(archive, name, local, to, progress))
    if json:
        print_json(done)
    else:
        assert done.restored_at is not None, "it has just been restored"
        assert done.expires_at is not None, "for a while"
        until = time_text(done.expires_at)
        console.print(f"file {done.file_id} is on {done.restored_at.element_id} until {until}")


@app.command()
def fail(
    name: NameArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it cannot be restored.")],
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Say that a file cannot be restored, and why."""

    async def run(archive: Archive) -> RestoreRequest:
        element, request = await _find(archive, name)
        url = f"{element.url}/api/v1/restores/{request.request_id}/fail"
        return parse(RestoreRequest, await archive.client.post(url, RestoreFailure(reason=reason)))

    failed = with_archive(data, profile, run)
    console.print(f"restore request {failed.request_id} has failed")


@app.command()
def cancel(name: NameArgument, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Cancel a request, or forget a copy that was lost before its time."""

    async def run(archive: Archive) -> RestoreRequest:
        element, request = await _find(archive, name)
        url = f"{element.url}/api/v1/restores/{request.request_id}"
        async with archive.client.request("DELETE", url) as response:
            return parse(RestoreRequest, await response.read())

    cancelled = with_archive(data, profile, run)
    console.print(f"restore request {cancelled.request_id} is cancelled")


async def _list(archive: Archive, status: str) -> tuple[Sequence[RestoreRequest], Mapping[str, str]]:
    """The requests, and the archives that did not answer, with the reason."""
    wanted = "" if status == "all" else f"&status={status}"
    found: list[RestoreRequest] = []
    silent: dict[str, str] = {}
    for element in await _elements(archive, "ar"):
        url = f"{element.url}/api/v1/restores?limit=1000{wanted}"
        try:
            found += (await archive.client.get(url, RestorePage)).items
        except UnavailableError as error:
            silent[element.element_id] = error.detail
    return sorted(found, key=lambda request: request.request_id), silent


async def _complete(
    archive: Archive, name: UUID, local: LocalFile, to: str | None, progress: TransferProgress
) -> RestoreRequest:
    """First the copy, then the word that it is there: repeated after a failure, both are done once."""
    element, request = await _find(archive, name, may_ask=True)
    if request.status not in _ACTIVE:
        raise PreconditionFailedError(f"restore request {request.request_id} is {request.status}")
    original = await archive.client.get(f"{element.url}/api/v1/files/{request.file_id}", FileAttributes)
    digest, _ = await asyncio.to_thread(measure, local.path)
    if digest != original.checksum:
        raise ChecksumMismatchError(declared=original.checksum, computed=digest)
    target = _choose(await _elements(archive, "edit"), to, size=local.size)
    copy = await _put_copy(archive, target, request, original, local, progress)
    assert copy.retention.expires_at is not None, "it is temporary"
    completion = RestoreCompletion(
        restored_at=RestoredAt(element_id=target.element_id, file_id=copy.file_id, url=target.url),
        checksum=copy.checksum,
        expires_at=copy.retention.expires_at,
    )
    url = f"{element.url}/api/v1/restores/{request.request_id}/complete"
    return parse(RestoreRequest, await archive.client.post(url, completion))


async def _put_copy(
    archive: Archive,
    target: Element,
    request: RestoreRequest,
    original: FileAttributes,
    local: LocalFile,
    progress: TransferProgress,
) -> FileAttributes:
    """The bytes under the id of the request; what is said of them may be more than a header takes."""
    url = f"{target.url}/api/v1/files/{request.request_id}"
    origin: dict[str, JsonValue] = {
        RESTORED_FROM: str(request.file_id),
        RESTORED_FROM_ELEMENT: request.element_id,
    }
    described = UploadAttributes(
        original_filename=original.original_filename,
        content_type=original.content_type,
        custom_attributes=origin,
        retention_policy="temporary",
        ttl_days=request.keep_days,
        checksum=original.checksum,
    )
    headers = {ATTRIBUTES_HEADER: described.encode_header(), hdrs.CONTENT_LENGTH: str(local.size)}
    async with archive.client.request(
        "PUT", f"{url}/content", headers=headers, data=FileBody(local, progress), deadline=None
    ) as response:
        await response.read()
    said: dict[str, object] = {
        "description": original.description,
        "tags": original.tags,
        "custom_attributes": {**original.custom_attributes, **origin},
    }
    try:
        return await _patch(archive, url, said)
    except RemoteError as error:
        if error.problem.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
    # Beside what names the original there is no room for what the original says of itself, up to its limit.
    errors.print("the copy has not the description, tags and attributes of the original: they do not fit")
    return await archive.client.get(url, FileAttributes)


async def _patch(archive: Archive, url: str, said: dict[str, object]) -> FileAttributes:
    async with archive.client.request(
        "PATCH", url, data=orjson.dumps(said), headers={hdrs.CONTENT_TYPE: "application/json"}
    ) as response:
        return parse(StoredFile, await response.read()).attributes


async def _find(archive: Archive, name: UUID, *, may_ask: bool = False) -> tuple[Element, RestoreRequest]:
    """The request of this id, or the newest one for the file of this id; with ``may_ask``, a new one.

    Raises:
        NotFoundError: no archive knows of it.
        UnavailableError: none that answers does.
    """
    silent: list[str] = []
    for element in await _elements(archive, "ar"):
        try:
            found = await _find_in(archive, element, name, may_ask=may_ask)
        except UnavailableError:
            silent.append(element.element_id)
            continue
        if found is not None:
            return element, found
    if silent:
        raise UnavailableError(
            f"no storage element in mode ar that answers knows a restore request or a file {name}; "
            f"these do not answer: {', '.join(silent)}"
        )
    raise NotFoundError(f"no storage element in mode ar knows a restore request or a file {name}")


async def _find_in(archive: Archive, element: Element, name: UUID, *, may_ask: bool) -> RestoreRequest | None:
    for path in (f"restores/{name}", f"files/{name}/restore"):
        try:
            found = await archive.client.get(f"{element.url}/api/v1/{path}", RestoreRequest)
        except RemoteError as error:
            _require_not_found(error)
            continue
        if found.status in _ACTIVE or found.request_id == name or not may_ask:
            return found
    return await _ask(archive, element, name) if may_ask else None


async def _ask(archive: Archive, element: Element, file_id: UUID) -> RestoreRequest | None:
    url = f"{element.url}/api/v1/files/{file_id}/download"
    try:
        async with archive.client.request("GET", url) as response:
            return parse(RestoreRequest, await response.read())
    except RemoteError as error:
        _require_not_found(error)
        return None


def _require_not_found(error: RemoteError) -> None:
    if error.problem.status != HTTPStatus.NOT_FOUND:
        raise error


async def _elements(archive: Archive, mode: str) -> Sequence[Element]:
    """Those in this mode, in the order in which they are filled."""
    url = archive.url("admin", f"/api/v1/storage-elements?limit=1000&mode={mode}")
    return (await archive.client.get(url, ElementPage)).items


def _choose(elements: Sequence[Element], to: str | None, *, size: int) -> Element:
    for element in elements:
        free = element.capacity.free
        has_room = element.capacity.status != "full" and (free is None or free >= size)
        if element.element_id == to or (to is None and has_room and element.status == "online"):
            return element
    names = ", ".join(element.element_id for element in elements) or "none"
    wanted = "with room for it" if to is None else f"called {to}"
    raise NotFoundError(f"there is no storage element in mode edit {wanted}; in mode edit there are: {names}")

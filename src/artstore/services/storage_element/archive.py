"""Answers who wants data that are in an archive: where the restored copy is, or that it was asked for."""

from http import HTTPStatus
from typing import Final
from uuid import UUID

from aiohttp import hdrs, web

from artstore.core import modes
from artstore.core.http.operations import json_response
from artstore.core.keys import PRINCIPAL
from artstore.core.logging import get_logger
from artstore.core.restores import (
    LOST_COPY_HEADER,
    ON_BEHALF_OF_HEADER,
    RESTORED_HEADER,
    RETRY_AFTER,
    RestoreRequest,
)
from artstore.core.spec import ChecksumMismatchError, InvalidRequestError, NotFoundError
from artstore.services.storage_element.element import Element

MAX_CLIENT: Final = 255
_log: Final = get_logger("element")


async def answer_from_archive(request: web.Request, element: Element, file_id: UUID) -> web.Response:
    """303 to the restored copy; else 202, with the request that GET makes unless there is one.

    HEAD asks for nothing: it makes no request. Who was led to a copy that is lost may say so: whoever may
    read is believed, since an untrue word costs no more than another copy.

    Raises:
        NotFoundError: there is no such file.
        ModeNotAllowedError: HEAD of a file that nobody has asked for.
    """
    await element.existing(file_id)
    lost = request.headers.get(LOST_COPY_HEADER)
    if request.method == hdrs.METH_HEAD:
        wanted = await element.restores.latest(file_id)
        if wanted is None or wanted.status not in ("queued", "restored") or wanted.leads_to(lost):
            modes.check(element.mode, "read", element_id=element.element_id)
    else:
        by, on_behalf_of = request[PRINCIPAL].client_id, _on_behalf_of(request)
        async with element.locks[file_id]:
            if lost is not None and await element.restores.forget_copy(file_id, lost):
                _log.warning("restored_copy_lost", file_id=str(file_id), copy=lost)
            wanted = await element.restores.request(file_id, by=by, on_behalf_of=on_behalf_of)
    assert wanted is not None, "the mode does not allow to read"
    return _see_copy(wanted) if wanted.status == "restored" else _queued(wanted)


async def require_copy_of(element: Element, request: RestoreRequest, checksum: str) -> None:
    """Refuse a copy that is not one.

    Raises:
        NotFoundError: the file was deleted meanwhile.
        ChecksumMismatchError: the copy has other bytes.
    """
    attributes = (await element.existing(request.file_id)).attributes
    if checksum != attributes.checksum:
        raise ChecksumMismatchError(declared=attributes.checksum, computed=checksum)


async def latest_request(element: Element, file_id: UUID) -> RestoreRequest:
    """The newest request for a file.

    Raises:
        NotFoundError: there is no such file, or nobody asked for it.
    """
    await element.existing(file_id)
    if (request := await element.restores.latest(file_id)) is None:
        raise NotFoundError(f"nobody has asked to restore file {file_id}")
    return request


def _queued(wanted: RestoreRequest) -> web.Response:
    headers = {"Location": f"/api/v1/restores/{wanted.request_id}", "Retry-After": str(RETRY_AFTER)}
    return json_response(wanted, status=HTTPStatus.ACCEPTED, headers=headers)


def _see_copy(wanted: RestoreRequest) -> web.Response:
    copy = wanted.restored_at
    assert copy is not None, "what is restored is somewhere"
    headers = {
        "Location": f"{copy.url}/api/v1/files/{copy.file_id}/download",
        RESTORED_HEADER: copy.name,
        "Cache-Control": "no-store",
    }
    return json_response(wanted, status=HTTPStatus.SEE_OTHER, headers=headers)


def _on_behalf_of(request: web.Request) -> str | None:
    client = request.headers.get(ON_BEHALF_OF_HEADER)
    if client is not None and not (client.isascii() and client.isprintable() and len(client) <= MAX_CLIENT):
        message = f"should be at most {MAX_CLIENT} printable characters of ASCII"
        raise InvalidRequestError(f"{ON_BEHALF_OF_HEADER} {message}", [(ON_BEHALF_OF_HEADER, message)])
    return client or None

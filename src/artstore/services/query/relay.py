"""Passes a download on from the storage element that holds the file, byte by byte as it comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

from aiohttp import ClientResponse, hdrs, web

from artstore.core.client.roles import RoleClient
from artstore.core.http.downloads import ONE_RESPONSE_LIMIT
from artstore.core.keys import PRINCIPAL
from artstore.core.restores import LOST_COPY_HEADER, ON_BEHALF_OF_HEADER, RESTORED_HEADER
from artstore.core.spec import CorruptedError, UpstreamError
from artstore.services.query.metrics import DownloadMeasurement, DownloadOutcome

REQUEST_HEADERS: Final = (
    hdrs.RANGE,
    hdrs.IF_RANGE,
    hdrs.IF_MATCH,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_MODIFIED_SINCE,
    hdrs.IF_UNMODIFIED_SINCE,
)
RESPONSE_HEADERS: Final = (
    hdrs.ACCEPT_RANGES,
    hdrs.CACHE_CONTROL,
    hdrs.CONTENT_DISPOSITION,
    hdrs.CONTENT_RANGE,
    hdrs.CONTENT_TYPE,
    hdrs.ETAG,
    hdrs.LAST_MODIFIED,
    hdrs.RETRY_AFTER,
    "Repr-Digest",
)
# Says in a header of its own how long the file is (RFC 9110 section 15.5.17).
RELAYED_ERRORS: Final = frozenset[int]({HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})

_WITH_CONTENT: Final = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_OUTCOMES: Final[Mapping[int, DownloadOutcome]] = {
    HTTPStatus.OK: "sent",
    HTTPStatus.PARTIAL_CONTENT: "sent",
    HTTPStatus.NOT_MODIFIED: "not_modified",
    HTTPStatus.ACCEPTED: "restoring",
}


@dataclass(frozen=True, slots=True)
class RestoredCopy:
    """Where an element that is an archive says that a copy of a file is."""

    element_id: str
    file_id: UUID

    @property
    def name(self) -> str:
        """As roles tell each other."""
        return f"{self.element_id}:{self.file_id}"


async def relay(
    request: web.Request,
    client: RoleClient,
    url: str,
    *,
    checksum: str,
    restore_url: str,
    lost_copy: RestoredCopy | None = None,
    stall_timeout: float,
    measurement: DownloadMeasurement,
) -> web.StreamResponse | RestoredCopy:
    """Answer as the element at ``url`` answers: conditions and ranges are evaluated there.

    An archive that has to restore the file answers 202; what becomes of that is told at ``restore_url``.
    One that has restored it answers where: nothing is sent then. It is told of a ``lost_copy``.

    Raises:
        CorruptedError: the element has other content than ``checksum`` under this id.
        ArtStoreError: as :meth:`~artstore.core.client.roles.RoleClient.request`; once the answer is on
            its way, that breaks the connection.
    """
    async with client.request(
        request.method,
        url,
        headers=_passed_on(request) | _told_of(lost_copy),
        deadline=stall_timeout,
        stall_timeout=stall_timeout,
        accept_statuses=RELAYED_ERRORS,
    ) as upstream:
        if upstream.status == HTTPStatus.SEE_OTHER:
            return _restored_copy(upstream)
        _check(upstream, checksum)
        response = await _answer(request, upstream, restore_url, measurement)
    measurement.outcome = _OUTCOMES.get(upstream.status, "refused")
    return response


def _passed_on(request: web.Request) -> dict[str, str]:
    """Conditions and ranges, and for whom. The element's answer has to come as it is, not compressed."""
    headers: dict[str, str] = {
        name: ", ".join(request.headers.getall(name)) for name in REQUEST_HEADERS if name in request.headers
    }
    client = request[PRINCIPAL].client_id
    return {**headers, hdrs.ACCEPT_ENCODING: "identity", ON_BEHALF_OF_HEADER: client}


def _told_of(lost_copy: RestoredCopy | None) -> dict[str, str]:
    return {} if lost_copy is None else {LOST_COPY_HEADER: lost_copy.name}


def _restored_copy(upstream: ClientResponse) -> RestoredCopy:
    element_id, _, file_id = upstream.headers.get(RESTORED_HEADER, "").rpartition(":")
    try:
        return RestoredCopy(element_id, UUID(file_id))
    except ValueError:
        raise UpstreamError("the storage element leads elsewhere, but not to a restored copy") from None


def _check(upstream: ClientResponse, checksum: str) -> None:
    if upstream.status in _WITH_CONTENT and upstream.headers.get(hdrs.ETAG) != f'"{checksum}"':
        raise CorruptedError("the storage element has other content than the index says")


async def _answer(
    request: web.Request, upstream: ClientResponse, restore_url: str, measurement: DownloadMeasurement
) -> web.StreamResponse:
    headers: dict[str, str] = {
        name: upstream.headers[name] for name in RESPONSE_HEADERS if name in upstream.headers
    }
    if upstream.status == HTTPStatus.ACCEPTED:
        headers[hdrs.LOCATION] = restore_url
    length = upstream.content_length
    if request.method == hdrs.METH_HEAD or upstream.status == HTTPStatus.NOT_MODIFIED:
        return await _without_body(request, upstream, headers)
    if length is not None and length <= ONE_RESPONSE_LIMIT:
        body = await upstream.read()
        if upstream.status in _WITH_CONTENT:
            measurement.size += length
        return web.Response(status=upstream.status, headers=headers, body=body)
    response = web.StreamResponse(status=upstream.status, headers=headers)
    response.content_length = length
    await response.prepare(request)
    await _copy(upstream, response, measurement)
    return response


async def _without_body(
    request: web.Request, upstream: ClientResponse, headers: Mapping[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, headers=headers)
    if request.method == hdrs.METH_HEAD:
        response.content_length = upstream.content_length
    await response.prepare(request)
    return response


async def _copy(
    upstream: ClientResponse, response: web.StreamResponse, measurement: DownloadMeasurement
) -> None:
    """In chunks of what has arrived (256 KiB at most are read ahead), at the pace of the client."""
    content = upstream.content
    while chunk := await content.readany():
        try:
            await response.write(chunk)
        except ConnectionError as error:
            # Not to be taken for a failure of the element's connection.
            raise ConnectionResetError("the client has gone") from error
        measurement.size += len(chunk)
    await response.write_eof()

"""Delivers one upload to one storage element."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs

from artstore.core.client.roles import RoleClient, parse
from artstore.core.exchange import DELEGATION_HEADER, Element, StoredFile
from artstore.core.spec import ArtStoreError, UnavailableError
from artstore.services.ingester.content import Content, StreamedContent, WholeContent
from artstore.services.ingester.element_form import form_around
from artstore.services.ingester.upload import Delivered, Upload

FINISH_TIMEOUT: Final = 300.0
"""Seconds an element may take from the last byte to its answer: a large file has to reach the disk."""

_CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class _Message:
    """A request to an element; its body is the content between ``before`` and ``after``."""

    method: str
    url: str
    headers: Mapping[str, str]
    before: bytes = b""
    after: bytes = b""

    @property
    def is_raw(self) -> bool:
        """Whether the body is the content and nothing else."""
        return not (self.before or self.after)


class Delivery:
    """Speaks to elements. ``patience`` is in seconds that one may take without accepting a byte."""

    def __init__(self, client: RoleClient, *, patience: float) -> None:
        self._client = client
        self._patience = patience

    async def deliver(self, upload: Upload, content: Content, element: Element) -> Delivered:
        """Give ``upload`` to ``element``.

        When the client fails while its content streams, the request to the element breaks off, and
        the element keeps nothing.

        Raises:
            ArtStoreError: the client's own failure; else what
                :meth:`~artstore.core.client.roles.RoleClient.request` raises.
        """
        message = _message(upload, element)
        if isinstance(content, WholeContent):
            return await self._send(message, content)
        try:
            return await self._stream(message, content)
        except ArtStoreError:
            if content.failure is not None:
                raise content.failure from None
            raise

    async def _send(self, message: _Message, content: WholeContent) -> Delivered:
        data = message.before + content.data + message.after
        async with self._client.request(
            message.method, message.url, headers=message.headers, data=data, deadline=self._patience
        ) as response:
            return _delivered(response.status, await response.read())

    async def _stream(self, message: _Message, content: StreamedContent) -> Delivered:
        """Nothing is taken from the client before the element asks for it (RFC 9110 section 10.1.1)."""
        headers = {**message.headers, hdrs.EXPECT: "100-continue"}
        if content.size is not None and message.is_raw:
            headers[hdrs.CONTENT_LENGTH] = str(content.size)
        try:
            async with (
                asyncio.timeout(self._patience) as watchdog,
                self._client.request(
                    message.method,
                    message.url,
                    headers=headers,
                    data=self._body(message, content, watchdog),
                    deadline=None,
                ) as response,
            ):
                return _delivered(response.status, await response.read())
        except TimeoutError:
            raise UnavailableError("the storage element does not take the file's bytes any more") from None

    async def _body(
        self, message: _Message, content: StreamedContent, watchdog: asyncio.Timeout
    ) -> AsyncIterator[bytes]:
        """What is sent. The watchdog sleeps while the client is waited for, which is watched elsewhere."""
        clock = asyncio.get_running_loop().time
        watchdog.reschedule(None)
        if message.before:
            yield message.before
        async for chunk in content.chunks():
            watchdog.reschedule(clock() + self._patience)
            yield chunk
            watchdog.reschedule(None)
        watchdog.reschedule(clock() + FINISH_TIMEOUT)
        if message.after:
            yield message.after


def _message(upload: Upload, element: Element) -> _Message:
    delegation = {DELEGATION_HEADER: upload.delegation}
    if upload.headers is not None:
        url = f"{element.url}/api/v1/files/{upload.file_id}/content"
        return _Message("PUT", url, {**upload.headers, **delegation})
    form = form_around(upload.attributes)
    url = f"{element.url}/api/v1/files/upload"
    headers = {hdrs.CONTENT_TYPE: form.content_type, **delegation}
    return _Message("POST", url, headers, before=form.before, after=form.after)


def _delivered(status: int, body: bytes) -> Delivered:
    return Delivered(stored=parse(StoredFile, body), is_new=status == _CREATED)

"""What finalizations ask of storage elements."""

import asyncio
import hashlib
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs

from artstore.core.attributes import FileAttributes
from artstore.core.client.roles import RoleClient, parse
from artstore.core.exchange import StoredFile
from artstore.core.finalization import StepOrder
from artstore.core.spec import ArtStoreError, CorruptedError, NotFoundError, UnavailableError, UpstreamError
from artstore.core.stores.elements import ElementsStore

PATIENCE: Final = 60.0
"""Seconds that an element may take without sending, or taking, a byte."""

FINISH_TIMEOUT: Final = 300.0
"""Seconds an element may take from the last byte to its answer: a large file has to reach the disk."""

HASH_BATCH: Final = 1024 * 1024
"""Bytes that are hashed in one job of a worker thread."""

Progress = Callable[[int], Awaitable[None]]
"""Is told how many bytes have been copied so far."""


@dataclass(frozen=True, slots=True)
class FinalizationCalls:
    """Speaks to storage elements by their ids."""

    elements: ElementsStore
    client: RoleClient

    async def sidecar(self, element_id: str, file_id: str) -> FileAttributes:
        """What an element says of a file now.

        Raises:
            RemoteError: it has no such file.
        """
        with _naming(element_id):
            return await self.client.get(await self._url(element_id, file_id), FileAttributes)

    async def take_step(self, element_id: str, file_id: str, order: StepOrder) -> StoredFile:
        """One step at an element.

        Raises:
            RemoteError: the file is not as the step wants it.
        """
        with _naming(element_id):
            url = f"{await self._url(element_id, file_id)}/finalization"
            return parse(StoredFile, await self.client.post(url, order))

    async def measure(self, element_id: str, file_id: str) -> tuple[int, str]:
        """Length and SHA-256 of the data, which is read to its end.

        Raises:
            RemoteError: it has no such file.
            CorruptedError: it says that its data is damaged.
            UpstreamError: it does not give all of it.
        """
        size, digest, batch = 0, hashlib.sha256(), bytearray()
        async for chunk in self._content(element_id, file_id):
            size += len(chunk)
            batch += chunk
            if len(batch) >= HASH_BATCH:
                await asyncio.to_thread(digest.update, batch)
                batch = bytearray()
        await asyncio.to_thread(digest.update, batch)
        return size, digest.hexdigest()

    async def copy(
        self,
        source_element_id: str,
        target_element_id: str,
        attributes: FileAttributes,
        *,
        progress: Progress,
    ) -> None:
        """Stream a file from one element to another, which gets ``attributes`` as its sidecar.

        Raises:
            RemoteError: the target refuses it, or the source has no such file.
            CorruptedError: the source says that its data is damaged.
            UpstreamError: the source does not give all of it.
        """
        file_id = str(attributes.file_id)
        form = _Form(attributes, self._content(source_element_id, file_id), progress)
        try:
            with _naming(target_element_id):
                await self._send(f"{await self._url(target_element_id, file_id)}/copy", form)
        except ArtStoreError:
            if form.failure is not None:
                raise form.failure from None
            raise

    async def _send(self, url: str, form: "_Form") -> None:
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: form.content_type, hdrs.EXPECT: "100-continue"}
        try:
            async with asyncio.timeout(PATIENCE) as watchdog:
                async with self.client.request(
                    "PUT", url, headers=headers, data=form.body(watchdog), deadline=None
                ) as response:
                    parse(StoredFile, await response.read())
        except TimeoutError:
            raise UnavailableError("it does not take the file's bytes any more") from None

    async def _content(self, element_id: str, file_id: str) -> AsyncIterator[bytes]:
        with _naming(element_id):
            url = f"{await self._url(element_id, file_id)}/download"
            async with self.client.request("GET", url, stall_timeout=PATIENCE) as response:
                if response.status != HTTPStatus.OK:
                    raise UnavailableError(f"it does not give the data now: it answers {response.status}")
                async for chunk in response.content.iter_any():
                    yield chunk

    async def _url(self, element_id: str, file_id: str) -> str:
        try:
            element = await self.elements.get(element_id)
        except NotFoundError:
            raise UnavailableError("it is not registered: register it") from None
        return f"{element.url}/api/v1/files/{file_id}"


class _Form:
    """The form (RFC 7578) in which a file travels, made of what the source gives while it is sent.

    Who sends it learns only that sending failed: when it was the source, ``failure`` tells how.
    """

    def __init__(self, attributes: FileAttributes, content: AsyncIterator[bytes], progress: Progress) -> None:
        self._boundary = secrets.token_hex(16)
        self._attributes = attributes
        self._content = content
        self._progress = progress
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.failure: ArtStoreError | None = None

    async def body(self, watchdog: asyncio.Timeout) -> AsyncIterator[bytes]:
        """What is sent. The watchdog sees to the target; the source is watched where it is read."""
        clock = asyncio.get_running_loop().time
        copied = 0
        yield self._part("attributes") + self._attributes.to_json(limit=sys.maxsize) + b"\r\n"
        yield self._part('file"; filename="file')
        try:
            async for chunk in self._content:
                watchdog.reschedule(clock() + PATIENCE)
                yield chunk
                copied += len(chunk)
                await self._progress(copied)
                watchdog.reschedule(clock() + 2 * PATIENCE)
        except ArtStoreError as error:
            self.failure = error
            raise
        watchdog.reschedule(clock() + FINISH_TIMEOUT)
        yield f"\r\n--{self._boundary}--\r\n".encode()

    def _part(self, name: str) -> bytes:
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        return head.encode()


@contextmanager
def _naming(element_id: str) -> Generator[None, None, None]:
    """Say in a failure which element it was."""
    try:
        yield
    except UnavailableError as error:
        raise UnavailableError(f"{element_id}: {error.detail}", retry_after=error.retry_after) from error
    except UpstreamError as error:
        raise UpstreamError(f"{element_id}: {error.detail}") from error
    except CorruptedError as error:
        raise CorruptedError(f"{element_id}: {error.detail}") from error

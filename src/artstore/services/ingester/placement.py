"""Finds the storage elements to which an upload may go."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from artstore.core.client.breaker import Breaker
from artstore.core.client.roles import RoleClient
from artstore.core.exchange import Element
from artstore.core.http.problems import RemoteError
from artstore.core.spec import ArtStoreError, UnavailableError
from artstore.services.ingester.directory import ElementDirectory
from artstore.services.ingester.metrics import IngesterMetrics
from artstore.services.ingester.selection import candidates, refusal
from artstore.services.ingester.upload import Upload

LOOKUP_DEADLINE: Final = 2.0
"""Seconds admin, or an element, has to say whether it knows a file."""

_NOT_FOUND: Final = 404


class _Location(BaseModel):
    """Of what admin knows of a file: where it is."""

    element_id: str


class Placement:
    """Chooses elements; a file that is stored already goes to where it is, to be compared there."""

    def __init__(
        self,
        client: RoleClient,
        directory: ElementDirectory,
        *,
        admin_url: str,
        breaker: Breaker,
        metrics: IngesterMetrics,
    ) -> None:
        self._client = client
        self._directory = directory
        self._admin_url = admin_url
        self._breaker = breaker
        self._metrics = metrics

    async def targets(self, upload: Upload) -> Sequence[Element]:
        """The elements to try, in this order; at least one.

        Raises:
            UnavailableError: no element takes such files, or is known at all.
            InsufficientStorageError: all that would take it are full.
        """
        with self._metrics.selection():
            if upload.may_be_known and (holder := await self._holder(upload.file_id)) is not None:
                return [holder]
            return await self._candidates(upload)

    async def _candidates(self, upload: Upload) -> Sequence[Element]:
        found = self._choose(await self._directory.elements(), upload)
        if not found:
            elements = await self._directory.newer_elements()
            found = self._choose(elements, upload)
            if not found:
                raise refusal(elements, retention=upload.attributes.retention_policy, size=upload.size)
        return found

    def _choose(self, elements: Sequence[Element], upload: Upload) -> Sequence[Element]:
        return candidates(
            elements,
            retention=upload.attributes.retention_policy,
            size=upload.size,
            avoided=self._directory.avoided,
        )

    async def _holder(self, file_id: UUID) -> Element | None:
        """The element that has the file. With a single one, there is nothing to find out."""
        elements = await self._directory.elements()
        if len(elements) < 2:
            return None
        try:
            element_id = await self._registered_at(file_id)
        except ArtStoreError:
            return await self._found_at(file_id, elements)
        if element_id is None:
            return None
        holder = _find(elements, element_id) or _find(await self._directory.newer_elements(), element_id)
        if holder is None:
            raise UnavailableError(
                f"file {file_id} is on storage element {element_id}, which is not registered"
            )
        return holder

    async def _registered_at(self, file_id: UUID) -> str | None:
        """What admin says.

        Raises:
            ArtStoreError: it does not say anything.
        """
        if self._breaker.is_open:
            raise UnavailableError("admin did not answer lately")
        try:
            location = await self._client.get(
                f"{self._admin_url}/api/v1/files/{file_id}", _Location, deadline=LOOKUP_DEADLINE
            )
        except RemoteError as error:
            if error.problem.status == _NOT_FOUND:
                return None
            raise
        except ArtStoreError:
            self._breaker.note_failure()
            raise
        return location.element_id

    async def _found_at(self, file_id: UUID, elements: Sequence[Element]) -> Element | None:
        """The first element that says it has the file; all are asked at once."""
        answers = await asyncio.gather(*(self._has(element, file_id) for element in elements))
        return next((element for element, has in zip(elements, answers, strict=True) if has), None)

    async def _has(self, element: Element, file_id: UUID) -> bool:
        """An element that does not answer has nothing that could be compared."""
        url = f"{element.url}/api/v1/files/{file_id}"
        try:
            async with asyncio.timeout(LOOKUP_DEADLINE), self._client.request("GET", url) as response:
                await response.read()
        except (ArtStoreError, TimeoutError):
            return False
        return True


def _find(elements: Sequence[Element], element_id: str) -> Element | None:
    return next((element for element in elements if element.element_id == element_id), None)

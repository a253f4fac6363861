"""One file: what the index knows of it, and its bytes from the element that holds it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from artstore.core.client.roles import RoleClient
from artstore.core.http.problems import RemoteError
from artstore.core.restores import RestoreRequest
from artstore.core.search import SearchHit
from artstore.core.spec import ArtStoreError, CorruptedError, UnavailableError, UpstreamError
from artstore.core.stores.files import FilesStore, IndexedFile
from artstore.services.query.elements import ElementUrls
from artstore.services.query.locations import Location, Locations
from artstore.services.query.metrics import DownloadMeasurement, QueryMetrics
from artstore.services.query.relay import RestoredCopy, relay
from artstore.services.query.schema import Schema


@dataclass(frozen=True, slots=True)
class Files:
    """Metadata and downloads."""

    schema: Schema
    store: FilesStore
    locations: Locations
    element_urls: ElementUrls
    client: RoleClient
    metrics: QueryMetrics
    stall_timeout: float

    async def get(self, file_id: UUID) -> IndexedFile:
        """What the index knows of a file.

        Raises:
            NotFoundError: it knows no such file.
        """
        await self.schema.require()
        return await self.store.get(file_id)

    async def download(self, request: web.Request, file_id: UUID) -> web.StreamResponse:
        """Answer GET or HEAD of a file's bytes.

        Raises:
            NotFoundError: there is no such file.
            UnavailableError: the element that holds it does not answer; the file is not lost.
        """
        with self.metrics.download() as measurement:
            await self.schema.require()
            location = await self.locations.get(file_id)
            try:
                response = await self._relay(request, file_id, location, measurement)
            except ArtStoreError:
                self.locations.forget(file_id)
                raise
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            self.metrics.download_ranges.inc()
        return response

    async def get_restore(self, file_id: UUID) -> RestoreRequest:
        """What became of the newest request to restore a file from an archive.

        Raises:
            NotFoundError: there is no such file.
            RemoteError: nobody has asked for it.
            UnavailableError: the element that holds it does not answer.
        """
        await self.schema.require()
        location = await self.locations.get(file_id)
        async with self._reaching(location.element_id) as url:
            return await self.client.get(f"{url}/api/v1/files/{file_id}/restore", RestoreRequest)

    async def _relay(
        self, request: web.Request, file_id: UUID, location: Location, measurement: DownloadMeasurement
    ) -> web.StreamResponse:
        """From the element that holds the file, or from where that has a copy restored; one that is lost is
        asked for again.
        """

        async def ask(
            element_id: str, name: UUID, *, lost_copy: RestoredCopy | None = None
        ) -> web.StreamResponse | RestoredCopy:
            async with self._reaching(element_id) as url:
                return await relay(
                    request,
                    self.client,
                    f"{url}/api/v1/files/{name}/download",
                    checksum=location.checksum,
                    restore_url=f"/api/v1/files/{file_id}/restore",
                    lost_copy=lost_copy,
                    stall_timeout=self.stall_timeout,
                    measurement=measurement,
                )

        answer = await ask(location.element_id, file_id)
        if isinstance(answer, RestoredCopy):
            copy = answer
            try:
                answer = await ask(copy.element_id, copy.file_id)
            except (CorruptedError, RemoteError) as error:
                if isinstance(error, RemoteError) and error.problem.status != HTTPStatus.NOT_FOUND:
                    raise
                answer = await ask(location.element_id, file_id, lost_copy=copy)
        if isinstance(answer, RestoredCopy):
            raise UpstreamError("a restored copy of the file is said to be in an archive")
        return answer

    @asynccontextmanager
    async def _reaching(self, element_id: str) -> AsyncGenerator[str, None]:
        """The URL of an element, and who it is when it does not answer."""
        url = await self.element_urls.get(element_id)
        try:
            yield url
        except UnavailableError as error:
            self.element_urls.forget(element_id)
            detail = f"the file is on storage element {element_id}, which does not answer"
            raise UnavailableError(f"{detail}: {error.detail}", retry_after=error.retry_after) from error


def as_hit(file: IndexedFile) -> SearchHit:
    """The same shape as a search gives."""
    attributes = file.attributes
    return SearchHit(
        file_id=attributes.file_id,
        original_filename=attributes.original_filename,
        file_size=attributes.file_size,
        content_type=attributes.content_type,
        checksum=attributes.checksum,
        created_at=attributes.created_at,
        updated_at=attributes.updated_at,
        created_by_username=attributes.created_by_username,
        created_by_fullname=attributes.created_by_fullname,
        description=attributes.description,
        tags=attributes.tags,
        retention_policy=attributes.retention.policy,
        expires_at=attributes.retention.expires_at,
        custom_attributes=attributes.custom_attributes,
        version=attributes.version,
        element_id=file.element_id,
    )

"""The registry of files: what has been stored where, as the elements say."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from artstore.core.attributes import FileAttributes
from artstore.core.client.roles import RoleClient, parse
from artstore.core.exchange import Registration, StoredFile
from artstore.core.logging import get_logger
from artstore.core.search import JournalPosition
from artstore.core.spec import ArtStoreError, NotFoundError, UnavailableError
from artstore.core.stores.elements import ElementsStore
from artstore.core.stores.files import FilesStore, IndexedFile
from artstore.services.admin.paging import Paging

_log = get_logger("files")


class FileQuery(Paging):
    """Which files to list."""

    element_id: Annotated[str | None, Field(min_length=1, max_length=50)] = None
    after: Annotated[
        str | None, Field(max_length=20, description="`next_after` of a page: the one that follows it.")
    ] = None

    @model_validator(mode="after")
    def _check_paging(self) -> Self:
        if self.after is not None and self.offset:
            raise ValueError("offset counts from the first page: leave it out with after")
        return self


class RegisteredFile(BaseModel):
    """A file, the element that holds it, and the position in its journal that says so."""

    element_id: str
    position: str
    attributes: FileAttributes


class RegisteredFilePage(BaseModel):
    """A slice of the files, newest first."""

    items: list[RegisteredFile]
    total: int
    limit: int
    offset: int
    has_more: bool
    next_after: Annotated[str | None, Field(description="Send as `after` to get the next page.")] = None


class RegistrationResult(BaseModel):
    """What a registration changed. Registering again changes nothing."""

    written: int
    confirmed: int
    removed: int
    skipped: Annotated[int, Field(description="Known already, or to be read from the journal.")]


class FileRegistry:
    """Lists files, and passes on what happens to them."""

    def __init__(self, files: FilesStore, elements: ElementsStore, client: RoleClient) -> None:
        self._files = files
        self._elements = elements
        self._client = client

    async def register(self, registration: Registration) -> RegistrationResult:
        """Put committed records into the index ahead of the journal that will repeat them.

        Raises:
            NotFoundError: their element is not registered.
        """
        await self._elements.get(registration.element_id)
        applied = await self._files.apply(registration.element_id, registration.epoch, registration.items)
        return RegistrationResult(
            written=applied.written,
            confirmed=applied.confirmed,
            removed=applied.removed,
            skipped=applied.skipped,
        )

    async def list(self, query: FileQuery) -> RegisteredFilePage:
        """Files, newest first.

        Raises:
            InvalidRequestError: ``after`` is not a cursor.
        """
        page = await self._files.list(
            element_id=query.element_id, limit=query.limit, offset=query.offset, after=query.after
        )
        return RegisteredFilePage(
            items=[_registered(file) for file in page.items],
            total=page.total,
            limit=query.limit,
            offset=query.offset,
            has_more=page.has_more,
            next_after=page.next_after,
        )

    async def get(self, file_id: UUID) -> RegisteredFile:
        """One file.

        Raises:
            NotFoundError: there is no such file.
        """
        return _registered(await self._files.get(file_id))

    async def delete(self, file_id: UUID) -> None:
        """Delete a file from its element, and at once from the index.

        Raises:
            NotFoundError: there is no such file.
            RemoteError: the element refuses: its mode, or the file must be kept.
            UnavailableError: the element cannot be reached, or is not registered any more.
            UpstreamError: the element fails.
        """
        url = await self.element_url_of(file_id)
        async with self._client.request("DELETE", f"{url}/api/v1/files/{file_id}") as response:
            deleted = parse(StoredFile, await response.read())
        try:
            await self._files.apply(deleted.element_id, deleted.epoch, [deleted.entry])
        except ArtStoreError as error:
            # It is deleted: the journal says so, too, once the index can be written again.
            _log.warning("deletion_not_indexed", file_id=str(file_id), reason=error.detail)

    async def element_url_of(self, file_id: UUID) -> str:
        """Where the element is that has a file.

        Raises:
            NotFoundError: there is no such file.
            UnavailableError: its element is not registered any more.
        """
        return await self.element_url((await self._files.get(file_id)).element_id)

    async def element_url(self, element_id: str) -> str:
        """Where an element is that has a file.

        Raises:
            UnavailableError: it is not registered any more.
        """
        try:
            return (await self._elements.get(element_id)).url
        except NotFoundError:
            raise UnavailableError(
                f"the file is on storage element {element_id}, which is not registered: register it"
            ) from None


def _registered(file: IndexedFile) -> RegisteredFile:
    position = JournalPosition(file.element_id, file.sequence)
    return RegisteredFile(element_id=file.element_id, position=str(position), attributes=file.attributes)

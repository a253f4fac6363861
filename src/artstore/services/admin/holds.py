"""Holds of files: placed on whichever element has the file, in the name of whoever asks."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote
from uuid import UUID

from artstore.core.client.roles import RoleClient, parse
from artstore.core.exchange import DELEGATION_HEADER, Delegation, HoldPage, NewHold, StoredFile
from artstore.core.http.problems import RemoteError
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, Principal
from artstore.core.stores.files import FilesStore
from artstore.core.stores.finalizations import FinalizationsStore
from artstore.services.admin.files import FileRegistry

_log: Final = get_logger("files")
_LONGEST_NAME: Final = 255


class HoldRelay:
    """Passes on what is to be held, and notes at once in the index what became of the file."""

    def __init__(
        self,
        registry: FileRegistry,
        files: FilesStore,
        finalizations: FinalizationsStore,
        client: RoleClient,
    ) -> None:
        self._registry = registry
        self._files = files
        self._finalizations = finalizations
        self._client = client

    async def place(self, file_id: UUID, hold: NewHold, *, principal: Principal) -> tuple[HoldPage, bool]:
        """Hold a file; all its holds then, and whether this one is new.

        Raises:
            NotFoundError: there is no such file.
            RemoteError: the element refuses.
            UnavailableError: the element cannot be reached, or is not registered any more.
            UpstreamError: the element fails.
        """
        name = (principal.name or principal.client_id)[:_LONGEST_NAME]
        headers = {DELEGATION_HEADER: Delegation(id=principal.subject, username=name).encode_header()}
        url = await self._url(file_id)
        async with self._client.request("POST", url, json=hold, headers=headers) as response:
            stored = parse(StoredFile, await response.read())
            is_new = response.status == HTTPStatus.CREATED
        await self._note(stored)
        return HoldPage(items=stored.attributes.retention.holds), is_new

    async def list(self, file_id: UUID) -> HoldPage:
        """What its element says that holds a file. Raises what :meth:`place` does."""
        return await self._client.get(await self._url(file_id), HoldPage)

    async def release(self, file_id: UUID, hold_id: str) -> None:
        """Release a hold on a file, and before that on the temporary copy that it may still have: nobody
        else would, and held, that stays for ever. Raises what :meth:`place` does.
        """
        path = f"api/v1/files/{file_id}/holds/{quote(hold_id, safe='')}"
        if (source := await self._finalizations.kept_source(str(file_id))) is not None:
            await self._release_if_held(f"{await self._registry.element_url(source)}/{path}")
        await self._note(await self._release(f"{await self._registry.element_url_of(file_id)}/{path}"))

    async def _release_if_held(self, url: str) -> None:
        try:
            await self._release(url)
        except RemoteError as error:
            if error.problem.status != HTTPStatus.NOT_FOUND:
                raise

    async def _release(self, url: str) -> StoredFile:
        async with self._client.request("DELETE", url) as response:
            return parse(StoredFile, await response.read())

    async def _url(self, file_id: UUID) -> str:
        return f"{await self._registry.element_url_of(file_id)}/api/v1/files/{file_id}/holds"

    async def _note(self, stored: StoredFile) -> None:
        entry = stored.entry.model_copy(update={"attributes": stored.attributes})
        try:
            await self._files.apply(stored.element_id, stored.epoch, [entry])
        except ArtStoreError as error:
            # The element has it: the journal says so, too, once the index can be written again.
            _log.warning("hold_not_indexed", file_id=str(entry.file_id), reason=error.detail)

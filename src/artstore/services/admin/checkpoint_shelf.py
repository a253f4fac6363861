"""Where checkpoints are out of the reach of whoever has the database: documents on storage elements."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

from artstore.core import modes
from artstore.core.audit.checkpoints import TAG, Checkpoint, checkpoint_file_id
from artstore.core.client.roles import RoleClient
from artstore.core.http.bodies import repr_digest
from artstore.core.http.problems import RemoteError
from artstore.core.spec import ArtStoreError, CorruptedError, UnavailableError
from artstore.core.stores.elements import Element, ElementsStore
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes

_NOT_THERE: Final = frozenset({HTTPStatus.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint as each element has it that has it, and the elements that could not be asked."""

    documents: Sequence[bytes]
    unchecked: Sequence[str]


class CheckpointShelf:
    """Puts checkpoints on elements, and finds them there by nothing but the log's id and their number."""

    def __init__(self, elements: ElementsStore, client: RoleClient, *, keep_for: timedelta) -> None:
        self._elements = elements
        self._client = client
        self._keep_for = keep_for

    async def put(self, checkpoint: Checkpoint) -> str:
        """Store a checkpoint; the id of the element that has it. Repeating it changes nothing.

        Raises:
            CorruptedError: an element has another checkpoint of this number: the log was set back.
            UnavailableError: no element takes it now.
        """
        found = await self.find(checkpoint.log_id, checkpoint.number)
        if any(document != checkpoint.to_json() for document in found.documents):
            raise _set_back(checkpoint)
        failure = "none is registered that takes files"
        for element in await self._candidates():
            try:
                await self._send(element, checkpoint)
            except ArtStoreError as error:
                failure = f"{element.element_id}: {error.detail}"
            else:
                return element.element_id
        raise UnavailableError(f"no storage element takes checkpoint {checkpoint.number}: {failure}")

    async def find(self, log_id: UUID, number: int) -> Found:
        """The checkpoint of this number; every element is asked."""
        documents, unchecked = list[bytes](), list[str]()
        for element in await self._elements.list():
            try:
                document = await self._get(element, checkpoint_file_id(log_id, number))
            except ArtStoreError:
                unchecked.append(element.element_id)
            else:
                documents += [] if document is None else [document]
        return Found(documents, unchecked)

    async def _candidates(self) -> Sequence[Element]:
        return [
            element
            for element in await self._elements.list()
            if element.status == "online"
            and element.capacity_status != "full"
            and element.mode in modes.allowed_in("create")
        ]

    async def _send(self, element: Element, checkpoint: Checkpoint) -> None:
        document = checkpoint.to_json()
        headers = {
            "Content-Type": "application/json",
            ATTRIBUTES_HEADER: _attributes(checkpoint, checkpoint.created_at + self._keep_for),
            "Repr-Digest": repr_digest(hashlib.sha256(document).hexdigest()),
        }
        url = f"{element.url}/api/v1/files/{checkpoint.file_id}/content"
        try:
            async with self._client.request("PUT", url, headers=headers, data=document) as response:
                await response.read()
        except RemoteError as error:
            if error.problem.status == HTTPStatus.CONFLICT and error.remote_code == "already-exists":
                raise _set_back(checkpoint) from error
            raise

    async def _get(self, element: Element, file_id: UUID) -> bytes | None:
        url = f"{element.url}/api/v1/files/{file_id}/download"
        async with self._client.request("GET", url, accept_statuses=_NOT_THERE) as response:
            return await response.read() if response.status == HTTPStatus.OK else None


def _attributes(checkpoint: Checkpoint, expires_at: datetime) -> str:
    """Whoever searches finds it by the tag, and the log by its id."""
    return UploadAttributes(
        original_filename=f"{TAG}-{checkpoint.number:08}.json",
        description=f"Signed checkpoint of the first {checkpoint.size} audit records",
        tags=[TAG],
        custom_attributes={
            "log_id": str(checkpoint.log_id),
            "number": checkpoint.number,
            "size": checkpoint.size,
            "root": checkpoint.root,
        },
        expires_at=expires_at.replace(microsecond=0),
    ).encode_header()


def _set_back(checkpoint: Checkpoint) -> CorruptedError:
    return CorruptedError(
        f"a storage element has another checkpoint {checkpoint.number} of this log: the log was set back"
    )

"""Finalizations as clients see them: asked for, looked at, listed."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from artstore.core import modes
from artstore.core.finalization import (
    ACTIVE,
    FinalizationAnswer,
    FinalizationOrder,
    FinalizationPage,
    FinalizationStatus,
)
from artstore.core.spec import ArtStoreError, UnavailableError
from artstore.core.stores.elements import Element, ElementsStore
from artstore.core.stores.files import FilesStore, IndexedFile
from artstore.core.stores.finalizations import Finalization, FinalizationsStore
from artstore.services.admin.finalization_metrics import FinalizationMetrics
from artstore.services.admin.finalization_steps import AwaitedError, FinalizationSteps
from artstore.services.admin.finalization_targets import best_target, requested_target
from artstore.services.admin.finalizer import Finalizer, failed
from artstore.services.admin.paging import Paging

BEGIN_TIMEOUT: Final = 10.0
"""Seconds the source has to protect the file before the request is refused."""

LEFT_TO_THE_JOB: Final = timedelta(seconds=30)
"""After this time the job takes the first step of what a process began that has ended since."""


class FinalizationQuery(Paging):
    """Which finalizations to list."""

    status: FinalizationStatus | None = None
    file_id: UUID | None = None


class Finalizations:
    """Accepts finalizations, and tells how far they are."""

    def __init__(
        self,
        store: FinalizationsStore,
        files: FilesStore,
        elements: ElementsStore,
        *,
        steps: FinalizationSteps,
        finalizer: Finalizer,
        metrics: FinalizationMetrics,
    ) -> None:
        self._store = store
        self._files = files
        self._elements = elements
        self._steps = steps
        self._finalizer = finalizer
        self._metrics = metrics

    async def start(self, order: FinalizationOrder) -> FinalizationAnswer:
        """Begin to make a file permanent, or tell of the finalization that it has.

        When this returns, the file is protected: it expires no more, and nothing is forgotten.

        Raises:
            NotFoundError: there is no such file.
            InvalidRequestError: the target is no storage element.
            ModeNotAllowedError: the source keeps what it has, or the target takes nothing.
            AlreadyExistsError: the idempotency key is of another file.
            RemoteError: the source refuses.
            UnavailableError: the source cannot be reached.
        """
        file = await self._files.get(order.file_id)
        if file.attributes.retention.policy == "permanent":
            return await self._already(file)
        wanted = await self._plan(order, file)
        one = await self._store.begin(wanted)
        # That of an interrupted request is begun again, too: nobody was told that the file is protected.
        return _answer(await self._begin(one) if one.status == "pending" else one)

    async def get(self, finalization_id: UUID) -> FinalizationAnswer:
        """One finalization.

        Raises:
            NotFoundError: there is none of this id.
        """
        return _answer(await self._store.get(str(finalization_id)))

    async def list(self, query: FinalizationQuery) -> FinalizationPage:
        """Finalizations, newest first."""
        file_id = None if query.file_id is None else str(query.file_id)
        page = await self._store.list(
            status=query.status, file_id=file_id, limit=query.limit, offset=query.offset
        )
        return FinalizationPage(
            items=[_answer(each) for each in page.items],
            total=page.total,
            limit=query.limit,
            offset=query.offset,
            has_more=query.offset + len(page.items) < page.total,
        )

    async def _already(self, file: IndexedFile) -> FinalizationAnswer:
        """A permanent file is what the client wants, however it became so."""
        attributes = file.attributes
        latest = await self._store.latest_of(str(attributes.file_id))
        if latest is not None and (latest.is_switched or latest.status in ACTIVE):
            return _answer(latest)
        return FinalizationAnswer(
            file_id=attributes.file_id,
            status="completed",
            source_element_id=file.element_id,
            target_element_id=file.element_id,
            file_size=attributes.file_size,
            checksum=attributes.checksum,
            attempts=0,
            completed_at=attributes.retention.finalized_at,
        )

    async def _plan(self, order: FinalizationOrder, file: IndexedFile) -> Finalization:
        elements = await self._elements.list()
        source = next((e for e in elements if e.element_id == file.element_id), None)
        if source is None:
            raise UnavailableError(
                f"the file is on storage element {file.element_id}, which is not registered: register it"
            )
        modes.check(source.mode, "update", element_id=source.element_id)
        target = _target(elements, source, order, size=file.attributes.file_size)
        if target.element_id != source.element_id:
            modes.check(source.mode, "delete", element_id=source.element_id)
        now = datetime.now(UTC)
        key = order.idempotency_key
        return Finalization(
            finalization_id=str(uuid4()),
            file_id=str(order.file_id),
            requested_by=order.requested_by,
            request_key=None if key is None else f"{order.requested_by} {key}",
            source_element_id=source.element_id,
            target_element_id=target.element_id,
            is_target_requested=order.element_id is not None,
            file_size=file.attributes.file_size,
            checksum=file.attributes.checksum,
            next_attempt_at=now + LEFT_TO_THE_JOB,
            created_at=now,
            updated_at=now,
        )

    async def _begin(self, wanted: Finalization) -> Finalization:
        """Take the first step at once, so that the answer can be relied upon."""
        try:
            async with asyncio.timeout(BEGIN_TIMEOUT):
                begun = await self._steps.take(wanted, progress=_no_progress)
        except AwaitedError:
            return await self._keep(wanted, wanted)  # done, but not to be seen yet: the job looks again
        except TimeoutError:
            refusal: ArtStoreError = UnavailableError(f"{wanted.source_element_id} did not answer in time")
        except ArtStoreError as error:
            refusal = error
        else:
            return await self._keep(wanted, begun)
        await self._give_up(wanted, refusal.detail)
        raise refusal

    async def _keep(self, wanted: Finalization, begun: Finalization) -> Finalization:
        """Let the job go on from here."""
        next_attempt_at = begun.next_attempt_at and datetime.now(UTC)
        saved = await self._store.save(begun.with_(next_attempt_at=next_attempt_at))
        self._finalizer.tell()
        if saved is None:
            return await self._store.get(wanted.finalization_id)
        self._metrics.moved(wanted, saved)
        return saved

    async def _give_up(self, wanted: Finalization, reason: str) -> None:
        """The job undoes what may have been done. The client may try again with the same key."""
        await self._store.save(failed(wanted, reason))
        self._finalizer.tell()


def _target(elements: Sequence[Element], source: Element, order: FinalizationOrder, *, size: int) -> Element:
    """Where the file is to stay: where somebody wants it, on an ``rw`` element, or where it is."""
    if order.element_id is not None:
        return requested_target(elements, order.element_id)
    if source.mode == "rw":
        return source
    return best_target(elements, size=size, without={source.element_id}) or source


async def _no_progress(copied: int) -> None:
    """The first step copies nothing."""


def _answer(one: Finalization) -> FinalizationAnswer:
    return FinalizationAnswer(finalization_id=UUID(one.finalization_id), **one.model_dump(include=_SHOWN))


_SHOWN: Final = FinalizationAnswer.model_fields.keys() - {"finalization_id"}

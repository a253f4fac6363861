"""The steps of a finalization. Each can be repeated, by another process, from where it was interrupted.

Until the permanent copy is known to be whole, it has a lower version than the marked source, so that
source and index stay as they were. Finishing it gives it the higher one; from then on it is the file.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes, Hold, RetentionPolicy
from artstore.core.exchange import StoredFile
from artstore.core.finalization import FinalizationStatus, FinalizationStep, StepOrder
from artstore.core.http.problems import RemoteError
from artstore.core.spec import (
    ArtStoreError,
    ChecksumMismatchError,
    CorruptedError,
    InsufficientStorageError,
    ModeNotAllowedError,
    NotFoundError,
    RetentionActiveError,
    UnavailableError,
)
from artstore.core.stores.elements import ElementsStore
from artstore.core.stores.files import FilesStore
from artstore.core.stores.finalizations import Finalization
from artstore.services.admin.finalization_calls import FinalizationCalls, Progress
from artstore.services.admin.finalization_targets import best_target

PROTECTION: Final = timedelta(days=7)
"""How long beyond the delay of its removal a source is marked: what is forgotten ends by itself."""

HELD_PAUSE: Final = timedelta(hours=1)
"""Between two looks at a source whose removal a hold forbids."""

_ELSEWHERE: Final = frozenset({InsufficientStorageError.code, ModeNotAllowedError.code})
_NOT_FOUND: Final = 404
_PASSING: Final = frozenset({408, 429})


class HopelessError(Exception):
    """Another attempt would end as this one; ``reason`` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AwaitedError(Exception):
    """Nothing failed, but something else has to come first; ``reason`` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FinalizationSteps:
    """Takes the next step of any finalization. ``removal_delay``: how long both copies are kept."""

    files: FilesStore
    elements: ElementsStore
    calls: FinalizationCalls
    removal_delay: timedelta

    async def take(self, finalization: Finalization, *, progress: Progress) -> Finalization:
        """The finalization after its next step; what is due later has another ``next_attempt_at``.

        Raises:
            HopelessError: it cannot be done.
            AwaitedError: it is too early.
            ArtStoreError: it was not done; it may be later.
        """
        if finalization.status == "copying":
            return await self._copy(finalization, progress)
        steps: dict[FinalizationStatus, Callable[[Finalization], Awaitable[Finalization]]] = {
            "pending": self._begin,
            "copied": self._verify,
            "verified": self._switch,
            "switched": self._schedule,
            "source_removal_scheduled": self._remove_source,
            "failed": self._roll_back,
        }
        return await steps[finalization.status](finalization)

    async def _begin(self, one: Finalization) -> Finalization:
        if one.is_in_place:
            await self._index(await self._order(one, one.source_element_id, "finish"), one)
            return _completed(one)
        until = datetime.now(UTC) + self.removal_delay + PROTECTION
        marked = await self._order(one, one.source_element_id, "begin", until=until)
        # The copy comes with the version that the index has of the source before it learns of the mark.
        await self._tell_index(marked)
        return one.with_(status="copying", source_version=marked.attributes.version)

    async def _copy(self, one: Finalization, progress: Progress) -> Finalization:
        source = await self._source(one)
        if source.version != one.source_version:
            return one.with_(status="pending")
        try:
            await self.calls.copy(
                one.source_element_id, one.target_element_id, _as_copy(source, one), progress=progress
            )
        except RemoteError as error:
            return await self._copy_elsewhere(one, error)
        return one.with_(status="copied", bytes_copied=one.file_size)

    async def _copy_elsewhere(self, one: Finalization, error: RemoteError) -> Finalization:
        """What one element has no room for may fit on another, unless that one was asked for."""
        if error.remote_code == ChecksumMismatchError.code:
            raise HopelessError(
                f"the data on {one.source_element_id} is damaged: it has not the checksum it was stored with"
            ) from error
        if not is_hopeless(error):
            raise error
        if error.remote_code not in _ELSEWHERE:
            raise HopelessError(f"{one.target_element_id} does not take the copy: {error.detail}") from error
        refused = UnavailableError(f"{one.target_element_id} does not take the copy: {error.detail}")
        if one.is_target_requested:
            raise refused from error
        elements = await self.elements.list()
        other = best_target(elements, size=one.file_size, without={one.target_element_id})
        if other is None:
            raise refused from error
        return one.with_(target_element_id=other.element_id, bytes_copied=0)

    async def _verify(self, one: Finalization) -> Finalization:
        await self._require_whole(one)
        return one.with_(status="verified", checksum_verified=True)

    async def _switch(self, one: Finalization) -> Finalization:
        """What has changed the source since it was copied is copied first, too."""
        source = await self._source(one)
        if source.version != one.source_version:
            return one.with_(status="pending", checksum_verified=False)
        await self._finish(one, source)
        return one.with_(status="switched", next_attempt_at=datetime.now(UTC))

    async def _schedule(self, one: Finalization) -> Finalization:
        if one.is_in_place:
            return _completed(one)
        await self._require_indexed(one)
        await self._carry_over_holds(one)
        due = datetime.now(UTC) + self.removal_delay
        return one.with_(status="source_removal_scheduled", remove_source_at=due, next_attempt_at=due)

    async def _remove_source(self, one: Finalization) -> Finalization:
        """Two proofs come first: what the target says of the file, and what its data are, now."""
        source = await self._carry_over_holds(one)
        _require_permanent(await self._required(one, one.target_element_id), one)
        await self._require_whole(one)
        await self._require_indexed(one)
        try:
            await self._order(one, one.source_element_id, "remove", version=one.source_version)
        except RemoteError as error:
            if source is not None and error.remote_code == RetentionActiveError.code:
                return await self._wait_for_release(one, source, f"{one.source_element_id}: {error.detail}")
            if error.problem.status != _NOT_FOUND:
                raise
        return _completed(one)

    async def _wait_for_release(self, one: Finalization, source: FileAttributes, reason: str) -> Finalization:
        """A hold may last for years. As long as its end is waited for, the mark of the source goes on."""
        now = datetime.now(UTC)
        mark = source.retention.finalization
        if mark is not None and now < mark.until < now + PROTECTION / 2:
            marked = await self._order(one, one.source_element_id, "begin", until=now + PROTECTION)
            one = one.with_(source_version=marked.attributes.version)
        return one.with_(next_attempt_at=now + HELD_PAUSE, error=reason)

    async def _carry_over_holds(self, one: Finalization) -> FileAttributes | None:
        """While it is marked, nothing changes the source but holds: of who was sent there a moment before the
        index had the copy. The file must have them where it is read from now on. Returns the source.
        """
        try:
            source = await self.calls.sidecar(one.source_element_id, one.file_id)
        except RemoteError as error:
            if error.problem.status != _NOT_FOUND:
                raise
            return None
        if source.version != one.source_version and _is_marked(source, one):
            await self._finish(one, source)
        return source

    async def _finish(self, one: Finalization, source: FileAttributes) -> None:
        version, holds = source.version + 1, source.retention.holds
        finished = await self._order(one, one.target_element_id, "finish", version=version, holds=holds)
        await self._index(finished, one)

    async def _roll_back(self, one: Finalization) -> Finalization:
        """Leave the file as it was: the copy goes before the mark that protects the source.

        A copy that turns out to be finished, which its element could not say before, is not taken back.
        """
        if await self._cancel(one, one.target_element_id) == "permanent":
            return one.with_(status="switched", error=None)
        await self._cancel(one, one.source_element_id)
        return one.with_(status="rolled_back", next_attempt_at=None, completed_at=datetime.now(UTC))

    async def _cancel(self, one: Finalization, element_id: str) -> RetentionPolicy | None:
        """What the file is there now.

        An element that is not registered any more, or lets nothing change any more, is not waited for.
        """
        if all(element.element_id != element_id for element in await self.elements.list()):
            return None
        try:
            stored = await self._order(one, element_id, "cancel")
        except RemoteError as error:
            if error.problem.status != _NOT_FOUND and error.remote_code != ModeNotAllowedError.code:
                raise
            return None
        return stored.attributes.retention.policy

    async def _order(
        self,
        one: Finalization,
        element_id: str,
        step: FinalizationStep,
        *,
        until: datetime | None = None,
        version: int | None = None,
        holds: Sequence[Hold] = (),
    ) -> StoredFile:
        order = StepOrder(
            finalization_id=UUID(one.finalization_id),
            step=step,
            until=until,
            version=version,
            holds=list(holds),
        )
        return await self.calls.take_step(element_id, one.file_id, order)

    async def _source(self, one: Finalization) -> FileAttributes:
        return await self._required(one, one.source_element_id)

    async def _required(self, one: Finalization, element_id: str) -> FileAttributes:
        try:
            return await self.calls.sidecar(element_id, one.file_id)
        except RemoteError as error:
            raise HopelessError(f"{element_id} does not have the file any more: {error.detail}") from error

    async def _require_whole(self, one: Finalization) -> None:
        """Read the target's data to their end."""
        try:
            size, sha256 = await self.calls.measure(one.target_element_id, one.file_id)
        except RemoteError as error:
            raise HopelessError(f"{one.target_element_id} does not give the copy: {error.detail}") from error
        if (size, sha256) != (one.file_size, one.checksum):
            raise HopelessError(f"the copy on {one.target_element_id} is damaged: it has SHA-256 {sha256}")

    async def _index(self, stored: StoredFile, one: Finalization) -> None:
        await self._tell_index(stored)
        await self._require_indexed(one)

    async def _tell_index(self, stored: StoredFile) -> None:
        """Let the index know at once; where it reads another epoch, its reader brings it."""
        entry = stored.entry.model_copy(update={"attributes": stored.attributes})
        await self.files.apply(stored.element_id, stored.epoch, [entry])

    async def _require_indexed(self, one: Finalization) -> None:
        try:
            known = await self.files.get(UUID(one.file_id))
        except NotFoundError as error:
            raise AwaitedError("the index does not have the file yet") from error
        is_permanent = known.attributes.retention.policy == "permanent"
        if known.element_id != one.target_element_id or not is_permanent:
            raise AwaitedError(f"the index does not show the file on {one.target_element_id} yet")


def _as_copy(source: FileAttributes, one: Finalization) -> FileAttributes:
    """The sidecar with which a copy waits to be finished: in the index, the source wins until then."""
    if not _is_marked(source, one):
        raise HopelessError(f"another finalization has taken the file on {one.source_element_id}")
    finalization = source.retention.finalization
    assert finalization is not None, "it is marked"
    marked = finalization.model_copy(update={"copy_of": one.source_element_id})
    retention = source.retention.model_copy(update={"finalization": marked})
    return source.model_copy(update={"version": source.version - 1, "retention": retention})


def _is_marked(source: FileAttributes, one: Finalization) -> bool:
    mark = source.retention.finalization
    return mark is not None and mark.id == UUID(one.finalization_id)


def _require_permanent(target: FileAttributes, one: Finalization) -> None:
    retention = target.retention
    is_proof = (
        target.checksum == one.checksum
        and retention.policy == "permanent"
        and retention.finalized_at is not None
    )
    if not is_proof:
        raise HopelessError(f"{one.target_element_id} does not say that it has the file for good")


def _completed(one: Finalization) -> Finalization:
    return one.with_(status="completed", error=None, next_attempt_at=None, completed_at=datetime.now(UTC))


def is_hopeless(error: ArtStoreError) -> bool:
    """Whether an element has refused, or has damaged data: it will be the same next time."""
    if isinstance(error, RemoteError):
        return error.problem.status not in _PASSING
    return isinstance(error, CorruptedError)

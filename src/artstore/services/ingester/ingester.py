"""Stores uploads: finds an element, delivers, tries the next one, tells admin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from artstore.core.exchange import Element
from artstore.core.http.problems import RemoteError
from artstore.core.logging import get_logger
from artstore.core.spec import (
    ArtStoreError,
    InsufficientStorageError,
    ModeNotAllowedError,
    UnavailableError,
    UpstreamError,
)
from artstore.services.ingester.content import Content, receive
from artstore.services.ingester.delivery import Delivery
from artstore.services.ingester.directory import ElementDirectory
from artstore.services.ingester.finalization import FinalizationRelay
from artstore.services.ingester.metrics import IngesterMetrics
from artstore.services.ingester.placement import Placement
from artstore.services.ingester.registration import Registrar
from artstore.services.ingester.upload import Delivered, Upload

# With these an element says that the file is better stored elsewhere: what we knew of it was old.
_ELSEWHERE: Final = frozenset({InsufficientStorageError.code, ModeNotAllowedError.code})
_log: Final = get_logger("ingester")


@dataclass(frozen=True, slots=True)
class Ingester:
    """Everything an upload needs, and who is asked to make it permanent later."""

    directory: ElementDirectory
    placement: Placement
    delivery: Delivery
    registrar: Registrar
    finalizations: FinalizationRelay
    metrics: IngesterMetrics

    async def store(self, upload: Upload) -> Delivered:
        """Store ``upload`` on an element; it is durable there when this returns.

        Raises:
            ArtStoreError: it is not stored, as far as is known; sending it again under the same id is safe.
        """
        with self.metrics.upload():
            targets = await self.placement.targets(upload)
            content = await receive(upload.chunks, size=upload.size)
            delivered = await self._deliver(upload, content, targets)
            await self.registrar.register(delivered.stored)
            self.metrics.note_stored(delivered.stored.attributes.file_size, is_new=delivered.is_new)
            return delivered

    async def _deliver(self, upload: Upload, content: Content, targets: Sequence[Element]) -> Delivered:
        failures: dict[str, ArtStoreError] = {}
        for element in targets:
            if failures:
                self.metrics.retries.inc()
            try:
                return await self.delivery.deliver(upload, content, element)
            except ArtStoreError as error:
                if not _is_about_element(error):
                    raise
                _log.warning("element_failed", element_id=element.element_id, reason=error.detail)
                self.directory.avoid(element.element_id)
                failures[element.element_id] = error
                if not _may_be_repeated(upload, content, error):
                    break
        raise _summary(failures)


def _is_about_element(error: ArtStoreError) -> bool:
    """Whether another element may take what this one did not."""
    if isinstance(error, RemoteError):
        return error.remote_code in _ELSEWHERE
    return isinstance(error, UnavailableError | UpstreamError)


def _may_be_repeated(upload: Upload, content: Content, error: ArtStoreError) -> bool:
    """Whether the content is still there, and a second copy would be recognised as one.

    A file that travels as a form has no id before it is stored: an element that does not answer may
    have stored it.
    """
    return not content.is_spent and (upload.headers is not None or isinstance(error, RemoteError))


def _summary(failures: dict[str, ArtStoreError]) -> ArtStoreError:
    """One error for all. What elements refused for one same reason is told in their words."""
    detail = "; ".join(f"{element_id}: {error.detail}" for element_id, error in failures.items())
    for kind in (UnavailableError, UpstreamError):
        if any(isinstance(error, kind) for error in failures.values()):
            return kind(f"no storage element took the file: {detail}")
    return next(iter(failures.values()))

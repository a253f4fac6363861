"""Searches the index, once it holds what the client has seen."""

from dataclasses import dataclass

from artstore.core.search import JournalPosition, SearchCriteria, SearchPage
from artstore.core.spec import UnavailableError
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from artstore.services.query.metrics import QueryMetrics
from artstore.services.query.schema import Schema


@dataclass(frozen=True, slots=True)
class Searches:
    """Searching. ``position_timeout`` is in seconds."""

    schema: Schema
    files: FilesStore
    store: SearchStore
    metrics: QueryMetrics
    position_timeout: float

    async def search(self, criteria: SearchCriteria) -> SearchPage:
        """One page of what matches.

        Raises:
            InvalidRequestError: a criterion cannot be used.
            UnavailableError: the index is not there, or does not reach ``at_least`` in time.
        """
        with self.metrics.search(criteria.mode):
            await self.schema.require()
            if (position := criteria.position) is not None:
                await self._wait_for(position)
            return await self.store.search(criteria)

    async def _wait_for(self, position: JournalPosition) -> None:
        if not await self.files.wait_for_position(position, within=self.position_timeout):
            raise UnavailableError(
                f"the index has not reached {position} within {self.position_timeout:g} seconds"
            )

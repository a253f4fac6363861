"""The journal as a change feed: pages, and a long poll for whoever has read to its end."""

import asyncio
from contextlib import suppress

from artstore.core.waiting import first_of
from artstore.services.storage_element.catalog import Catalog


async def wait_beyond(catalog: Catalog, sequence: int, *, patience: float, stopping: asyncio.Event) -> None:
    """Return when the journal goes beyond ``sequence``, after ``patience`` seconds, or when ``stopping``.

    Nor is there anything to wait for when another catalog takes the place of the one that was asked.
    Whoever asks beyond the end of the journal read it in another epoch and must learn that at once.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            epoch = catalog.epoch
            while (catalog.epoch, catalog.last_sequence) == (epoch, sequence) and not stopping.is_set():
                await first_of(catalog.changed, stopping)

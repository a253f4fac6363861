"""What lies in the root of an element and is neither an object nor a file of the element."""

from collections.abc import AsyncGenerator
from pathlib import PurePath
from typing import Final

from artstore.core.inspection import Finding
from artstore.core.spec import Database, StorageBackend

WORKING_AREA: Final = ".artstore"
_OF_SQLITE: Final = ("", "-wal", "-shm", "-journal")


async def find_strangers(storage: StorageBackend, database: Database) -> AsyncGenerator[Finding, None]:
    """All of which the storage can tell; nothing where it has not that ability."""
    if (ability := storage.capabilities.strangers) is None:
        return
    ours = _files_of(database)
    async for stranger in ability.list_strangers():
        if stranger.name not in ours:
            yield Finding(kind="stranger", key=stranger.name, reason=f"it is no object but {stranger.what}")


def _files_of(database: Database) -> set[str]:
    """The catalog may lie in the working area, which it shares with the storage."""
    if database.dialect != "sqlite":
        return set()
    return {f"{WORKING_AREA}/{PurePath(database.url).name}{suffix}" for suffix in _OF_SQLITE}

"""Admin as a process of its own, killed in its first rotation of the signing key.

``DIE_AT`` says when: 1 before its transaction, 2 in the middle, 3 when it has been committed.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from artstore.core.config import Settings
from artstore.core.logging import configure_logging
from artstore.core.stores import keys
from artstore.core.stores.keys import KeysStore
from artstore.core.stores.rows import Record, insert_sql
from tests.services.finalization.dying_admin import serve

DIE_AT: Final = int(os.environ["DIE_AT"])


def die_at(point: int) -> None:
    if point == DIE_AT:
        os.kill(os.getpid(), signal.SIGKILL)


rotate = KeysStore.rotate


async def rotate_and_die(store: KeysStore, *arguments: Any, **named: Any) -> Any:
    die_at(1)
    rotated = await rotate(store, *arguments, **named)
    die_at(3)
    return rotated


def insert_and_die(table: str, record: type[Record]) -> str:
    """Asked for when the present key has been retired and the next one is not there yet."""
    die_at(2)
    return insert_sql(table, record)


if __name__ == "__main__":
    configure_logging(log_format="json", level="warning")
    setattr(KeysStore, "rotate", rotate_and_die)  # noqa: B010
    setattr(keys, "insert_sql", insert_and_die)  # noqa: B010
    found = Settings.model_validate_json(sys.argv[2])
    asyncio.run(serve(found.model_copy(update={"base_directory": Path(sys.argv[1])})))

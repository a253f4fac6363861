"""Admin as a process of its own, to be killed: ``dying_admin.py DIRECTORY SETTINGS``.

It prints a line when it serves, and is killed at the point that ``DIE_AT`` numbers: just before, and just
after, each time that it writes how far a finalization has come.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from artstore.cli.composition import make_app
from artstore.core.config import Settings
from artstore.core.logging import configure_logging
from artstore.core.server import Listener, bound
from artstore.core.stores.finalizations import FinalizationsStore

DIE_AT: Final = int(os.environ.get("DIE_AT", "0"))


def mortal(write: Callable[..., Awaitable[Any]], points: "count[int]") -> Callable[..., Awaitable[Any]]:
    """``write`` between two points at which this process may be killed."""

    async def write_and_die(*arguments: Any, **named: Any) -> Any:
        _die_at(next(points))
        result = await write(*arguments, **named)
        _die_at(next(points))
        return result

    return write_and_die


def _die_at(point: int) -> None:
    if point == DIE_AT:
        os.kill(os.getpid(), signal.SIGKILL)


async def serve(settings: Settings) -> None:
    app = await asyncio.to_thread(make_app, "admin", settings)
    async with bound(Listener("admin", app, "127.0.0.1", settings.port("admin"))) as server:
        await server.start()
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    points = count(1)
    for name in ("begin", "save"):
        setattr(FinalizationsStore, name, mortal(getattr(FinalizationsStore, name), points))
    configure_logging(log_format="json", level="warning")
    found = Settings.model_validate_json(sys.argv[2])
    asyncio.run(serve(found.model_copy(update={"base_directory": Path(sys.argv[1])})))

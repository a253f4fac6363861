"""The event loop that roles run on: uvloop where it pays and is installed."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from importlib import import_module
from typing import Any, Final, cast

from artstore.core.config import RoleName

# Measured: uvloop costs these more, who send large files. It has no sendfile, by which elements serve, and
# relaying 8 MiB through query took 13 ms of CPU instead of 9.
_STOCK_LOOP: Final[frozenset[RoleName]] = frozenset({"element", "query"})


def run(main: Coroutine[Any, Any, None], *, roles: Collection[RoleName]) -> None:
    """As :func:`asyncio.run`, on the loop that suits ``roles``."""
    with asyncio.Runner(loop_factory=loop_factory(roles)) as runner:
        runner.run(main)


def loop_factory(roles: Collection[RoleName]) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes a loop of uvloop; ``None``, the stock loop, for who sends files or without uvloop."""
    if not _STOCK_LOOP.isdisjoint(roles):
        return None
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)

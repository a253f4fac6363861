"""The event loop that roles run on: uvloop where it pays and is installed."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from importlib import import_module
from typing import Any, Final, cast

from artstore.core.config import RoleName

# uvloop cannot send a file without copying it through the process (sendfile), by which elements serve.
_STOCK_LOOP: Final[RoleName] = "element"


def run(main: Coroutine[Any, Any, None], *, roles: Collection[RoleName]) -> None:
    """As :func:`asyncio.run`, on the loop that suits ``roles``."""
    with asyncio.Runner(loop_factory=loop_factory(roles)) as runner:
        runner.run(main)


def loop_factory(roles: Collection[RoleName]) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes a loop of uvloop; ``None``, which is the stock loop, for an element or without uvloop."""
    if _STOCK_LOOP in roles:
        return None
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)

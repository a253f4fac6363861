"""Ends listening without leaving a connection behind that nobody knows."""

import asyncio
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Iterable
from typing import Final

_TURNS: Final = range(3)
"""Of the event loop: a connection is attached, then made, then waits for its first request."""


async def stop_accepting(listening: Iterable[socket.socket | TransportSocket]) -> None:
    """Accept nothing more at these sockets; the server that has them is to be closed next.

    A connection that a server of asyncio has accepted when it is closed, and not yet attached, is lost: it
    hangs until the process ends (CPython gh-109564). aiohttp loses one that is attached and not yet made.
    """
    loop = asyncio.get_running_loop()
    for connection in listening:
        loop.remove_reader(connection.fileno())
    for _ in _TURNS:
        await asyncio.sleep(0)

"""Counts the connections of one application, and says which are too many."""

import asyncio
import resource
import sys
from collections import Counter as Numbers
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from prometheus_client import Counter, Gauge

from artstore.core.protection import ConnectionLimits, address_group, is_within

Reason = Literal["total", "address", "head"]
"""Why a connection was closed: too many of all, too many of its address, or it sent no whole request."""

RESERVED: Final = 256
"""Descriptors that clients leave to databases, other roles and the files of its own work."""
PER_CONNECTION: Final = 2
"""Descriptors: a connection, and the file or the other role that it is about."""
FEWEST: Final = 16


def room_for_connections(applications: int) -> int:
    """How many connections each application of this process may have, whose limit of open files is raised.

    The usual 1024 is meant for programs that use select(2): a thousand connections that ask nothing would
    keep a role from its own files and databases.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(FEWEST, (most - RESERVED) // (PER_CONNECTION * applications))


class Connections:
    """Who is connected. ``trusted`` are proxies, which bring more than their own requests."""

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        trusted: Sequence[IPv4Network | IPv6Network],
        active: Gauge,
        refused: Counter,
    ) -> None:
        self.limits = limits
        self._most = limits.total or sys.maxsize
        self._trusted = trusted
        self._numbers = Numbers[str]()
        self._total = 0
        self._open = set[asyncio.Transport]()
        self._none = asyncio.Event()
        self._none.set()
        self._active = active
        self._refused = refused

    def cap(self, most: int) -> bool:
        """Have no more than ``most``, whatever is configured; whether that is fewer."""
        is_fewer = most < self._most
        self._most = min(most, self._most)
        return is_fewer

    def made(self, transport: asyncio.Transport) -> None:
        """Know a connection from its first moment, whether it may stay or not."""
        self._open.add(transport)
        self._none.clear()

    def lost(self, transport: asyncio.Transport) -> None:
        """A connection has ended, and all that was sent on it is with the kernel."""
        self._open.discard(transport)
        if not self._open:
            self._none.set()

    async def end(self, patience: float) -> None:
        """Return when no connection is left; after ``patience`` seconds those that are left are reset.

        One that was closed lives until its client has taken the last bytes of its answer, and with TLS until
        both sides have said good-bye; the end of the process would cut both off.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._none.wait()
        for transport in self._open:
            transport.abort()
        await self._none.wait()

    def enter(self, address: str) -> bool:
        """Count one more connection, unless there are too many."""
        group = address_group(address)
        if self._total >= self._most:
            self.refuse("total")
            return False
        is_full = self.limits.per_address and self._numbers[group] >= self.limits.per_address
        if is_full and not is_within(address, self._trusted):
            self.refuse("address")
            return False
        self._numbers[group] += 1
        self._total += 1
        self._active.set(self._total)
        return True

    def leave(self, address: str) -> None:
        """A connection that was counted has gone."""
        group = address_group(address)
        self._numbers[group] -= 1
        if not self._numbers[group]:
            del self._numbers[group]
        self._total -= 1
        self._active.set(self._total)

    def refuse(self, reason: Reason) -> None:
        """Count a connection that is closed on its client."""
        self._refused.labels(reason).inc()

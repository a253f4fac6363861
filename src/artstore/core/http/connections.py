"""Counts the connections of one application, and says which are too many."""

from collections import Counter as Numbers
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from prometheus_client import Counter, Gauge

from artstore.core.protection import ConnectionLimits, address_group, is_within

Reason = Literal["total", "address", "head"]
"""Why a connection was closed: too many of all, too many of its address, or it sent no whole request."""


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
        self._trusted = trusted
        self._numbers = Numbers[str]()
        self._total = 0
        self._active = active
        self._refused = refused

    def enter(self, address: str) -> bool:
        """Count one more connection, unless there are too many."""
        group = address_group(address)
        if self.limits.total and self._total >= self.limits.total:
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

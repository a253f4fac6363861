"""Ports for servers whose address is known before they listen, or stays theirs while they are restarted."""

import os
import secrets
import socket
from typing import Final

LOWEST: Final = 10_000
HIGHEST: Final = 32_767
"""Above it the kernel takes those that it gives to whoever wants any (``ip_local_port_range``)."""


class Ports:
    """Gives each of ``numbers`` once, before it gives one again; the first by chance, for the sake of others
    who do the same on this machine.
    """

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers
        self._next = secrets.randbelow(len(numbers))

    def take(self, number: int = 1) -> int:
        """The first of so many ports in a row that are free now.

        Raises:
            AssertionError: there are none.
        """
        for _ in self._numbers:
            if self._next + number > len(self._numbers):
                self._next = 0
            taken = self._numbers[self._next : self._next + number]
            self._next += number
            if all(_is_free(port) for port in taken):
                return taken[0]
        raise AssertionError(f"of the ports {self._numbers}, no {number} in a row are free")


def _own_ports() -> range:
    """The workers of a run have none in common: one would take what another is about to listen at."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % workers
    size = (HIGHEST + 1 - LOWEST) // workers
    return range(LOWEST + worker * size, LOWEST + (worker + 1) * size)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports: Final = Ports(_own_ports())
free_ports: Final = _ports.take

"""Keeps a client out of networks where nothing is that it should call, whatever a name resolves to."""

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

from aiohttp import ClientConnectorError

from artstore.core.protection import Address, is_within, parse_address

AddressInfo = tuple[int, int, int, str, Any]
"""What ``getaddrinfo`` says of one address."""
REFUSED: Final = errno.EACCES
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))
"""Addresses that gateways turn into others of IPv4 (RFC 6052, RFC 8215, RFC 3056)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a client may connect: to ``origins`` that the operator configured, and, wherever somebody else
    sends it, to public addresses and those in ``networks``.
    """

    origins: frozenset[str]
    networks: tuple[IPv4Network | IPv6Network, ...]

    def is_configured(self, url: str) -> bool:
        return origin_of(url) in self.origins


def origin_of(url: str) -> str:
    """Scheme, host and port of ``url``, as it is written."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def guarded_sockets(allowed: Sequence[IPv4Network | IPv6Network]) -> Callable[[AddressInfo], socket.socket]:
    """Makes the sockets of a connector: for public addresses, and for those in ``allowed``.

    It is asked for the very address that is connected to next, so that no name can stand for one address
    when it is looked at and for another when it is used (DNS rebinding).
    """

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, where = info
        text = str(where[0])
        if not is_within(text, allowed) and not _is_public(parse_address(text)):
            raise OSError(REFUSED, "the address is in a network that is not allowed")
        return socket.socket(family, kind, protocol)

    return make


def is_refused(error: BaseException) -> bool:
    """Whether a connection was not made because of :func:`guarded_sockets`."""
    return isinstance(error, ClientConnectorError) and error.os_error.errno == REFUSED


def _is_public(address: Address | None) -> bool:
    if address is None or address.is_multicast or not address.is_global:
        return False
    return not (isinstance(address, IPv6Address) and any(address in network for network in _TRANSLATED))

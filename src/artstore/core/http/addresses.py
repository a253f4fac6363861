"""Where a request comes from: the peer of the connection, or whom a listed proxy names."""

from aiohttp import web

from artstore.core.keys import CLIENT_ADDRESS, SETTINGS
from artstore.core.protection import is_within, parse_address


def client_address(request: web.Request) -> str:
    """The address of the client, for logs and limits. It proves nothing."""
    if (known := request.get(CLIENT_ADDRESS)) is None:
        known = request[CLIENT_ADDRESS] = _find(request)
    return known


def _find(request: web.Request) -> str:
    peer = request.remote or "unknown"
    trusted = request.app[SETTINGS].server.trusted_proxies
    if not trusted or not is_within(peer, trusted):
        return peer
    # Every proxy adds whom it was asked by at the end: what stands before the last stranger may be made up.
    for address in reversed(_forwarded_for(request)):
        if parse_address(address) is None:
            break
        peer = address
        if not is_within(address, trusted):
            break
    return peer


def _forwarded_for(request: web.Request) -> list[str]:
    fields = request.headers.getall("X-Forwarded-For", [])
    return [address.strip() for field in fields for address in field.split(",")]

"""Cross-origin requests of browsers: which pages may call (the CORS protocol of the Fetch standard)."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web

from artstore.core.keys import SETTINGS
from artstore.core.logging import get_logger
from artstore.core.protection import ANY_ORIGIN, CorsSettings

ALLOW_ORIGIN: Final = hdrs.ACCESS_CONTROL_ALLOW_ORIGIN
NO_ORIGIN: Final = "null"
"""What sandboxed pages and local files send."""
ANY_HEADER: Final = "*"
EXPOSED: Final = (
    "Artstore-Position, Content-Disposition, ETag, RateLimit, RateLimit-Policy, Repr-Digest, Retry-After, "
    "X-Request-ID"
)
"""What pages may read besides what they always may."""
_log: Final = get_logger("cors")


def warn_of_wildcards(cors: CorsSettings) -> None:
    """Say at the start what is more open than it need be."""
    if cors.origins and ANY_HEADER in cors.headers:
        _log.warning("cors_allows_every_header", advice="list the headers that pages have to send")


def cors_headers(request: web.Request) -> Mapping[str, str]:
    """What tells a browser that the page may see this answer, errors included."""
    cors = request.app[SETTINGS].server.cors
    if not cors.origins:
        return {}
    headers: dict[str, str] = {hdrs.VARY: hdrs.ORIGIN}
    if (allowed := _allowed(cors, request.headers.getall(hdrs.ORIGIN, []))) is not None:
        headers |= {ALLOW_ORIGIN: allowed, "Access-Control-Expose-Headers": EXPOSED}
        if cors.allow_credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def preflight_answer(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks before it sends a request; ``None`` when it is no such question.

    Browsers ask without credentials, so nobody is authenticated. Whoever may not call gets the answer of
    the route, as if there were no such protocol.
    """
    refused = request.match_info.http_exception
    if (
        request.method != hdrs.METH_OPTIONS
        or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers
        or not isinstance(refused, web.HTTPMethodNotAllowed)
        or ALLOW_ORIGIN not in cors_headers(request)
    ):
        return None
    cors = request.app[SETTINGS].server.cors
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": ", ".join(sorted(refused.allowed_methods)),
            "Access-Control-Allow-Headers": ", ".join(cors.headers),
            "Access-Control-Max-Age": str(cors.max_age),
        },
    )


def _allowed(cors: CorsSettings, origins: Sequence[str]) -> str | None:
    """What to answer to the ``Origin`` of a request: ``null`` is nobody's, not even with ``*``."""
    if len(origins) != 1 or origins[0] == NO_ORIGIN:
        return None
    if ANY_ORIGIN in cors.origins:
        return ANY_ORIGIN
    return origins[0] if origins[0] in cors.origins else None

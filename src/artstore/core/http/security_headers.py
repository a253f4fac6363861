"""Headers of every answer that tell browsers to make nothing of it but what it is."""

from collections.abc import Mapping
from typing import Final

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Instead of versions, which tell whoever looks for a hole where to find it.
    "Server": "artstore",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
_TRANSPORT_SECURITY: Final = "max-age=31536000"
"""A year, for this host alone (RFC 6797): what lies below it may be somebody else's."""


def security_headers(*, url: str) -> Mapping[str, str]:
    """Those of a role that others reach at ``url``. Over plain HTTP, browsers ignore HSTS."""
    if not url.startswith("https:"):
        return _ALWAYS
    return {**_ALWAYS, "Strict-Transport-Security": _TRANSPORT_SECURITY}

"""Which cipher suites are used: those that authenticate what they encrypt, and keep the past secret."""

import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from artstore.core.spec import ConfigurationError

TLS12_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, as OpenSSL selects them. All suites of TLS 1.3 are such."""


class Suites(NamedTuple):
    """What may be negotiated, by OpenSSL's names."""

    tls13: frozenset[str]
    tls12: Sequence[str]

    def choose(self, context: ssl.SSLContext) -> None:
        """Have ``context`` offer no others of TLS 1.2.

        Of TLS 1.3 OpenSSL always offers all it is configured with, and Python cannot tell it otherwise:
        ``set_ciphers`` knows the names of 1.2 only, and fails on a list of 1.3 alone. What is negotiated is
        therefore compared with ``tls13`` after the handshake.
        """
        context.set_ciphers(":".join(self.tls12) or TLS12_SUITES)


def chosen_suites(names: Sequence[str], *, lowest_version: str) -> Suites:
    """The suites of ``names``, or all that are good when there are none.

    Raises:
        ConfigurationError: a name is unknown or not good enough, or a version is left without a suite.
    """
    offered = _offered()
    if not names:
        return Suites(offered.tls13, offered.tls12 if lowest_version == "1.2" else ())
    for name in names:
        _check(name, offered, lowest_version)
    chosen = Suites(offered.tls13 & set(names), [name for name in names if name in offered.tls12])
    if not chosen.tls13:
        raise ConfigurationError(f"[tls] ciphers: none is of TLS 1.3; add one of {_listed(offered.tls13)}")
    if lowest_version == "1.2" and not chosen.tls12:
        raise ConfigurationError(
            f"[tls] ciphers: none is of TLS 1.2, which protocol_version allows; add one of "
            f'{_listed(offered.tls12)}, or set protocol_version = "1.3"'
        )
    return chosen


def preferred_suite() -> str:
    """The suite of TLS 1.3 that OpenSSL, as it is configured, takes when the other side has it, too."""
    return next(cipher["name"] for cipher in _context().get_ciphers() if cipher["protocol"] == "TLSv1.3")


def _check(name: str, offered: Suites, lowest_version: str) -> None:
    if name in offered.tls13:
        return
    if name not in offered.tls12:
        known = offered.tls13 if lowest_version == "1.3" else {*offered.tls13, *offered.tls12}
        raise ConfigurationError(
            f"[tls] ciphers: {name[:100]!r} is not one of {_listed(known)}, which this OpenSSL offers "
            "and which encrypt with authentication and forward secrecy"
        )
    if lowest_version == "1.3":
        raise ConfigurationError(
            f'[tls] ciphers: {name} is of TLS 1.2, but protocol_version = "1.3" is the lowest that is spoken'
        )


def _offered() -> Suites:
    by_version: dict[str, list[str]] = {"TLSv1.3": [], "TLSv1.2": []}
    for cipher in _context().get_ciphers():
        by_version.setdefault(cipher["protocol"], []).append(cipher["name"])
    return Suites(frozenset(by_version["TLSv1.3"]), by_version["TLSv1.2"])


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(TLS12_SUITES)
    return context


def _listed(names: Sequence[str] | frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))

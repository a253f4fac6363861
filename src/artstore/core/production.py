"""What `environment = "production"` does not allow: everything at once, before anything starts."""

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from artstore.core.config import PORT_OFFSETS, Settings
from artstore.core.protection import ANY_ORIGIN, parse_address

Rule = Callable[[Settings], Iterator[str]]
"""Names each setting that it finds unsafe, and what to change."""

SMALLEST_PREFIX: Final = 8
"""Bits; nobody owns all of a network that is larger."""


def unsafe_settings(settings: Settings) -> list[str]:
    """Everything in ``settings`` that must not be so in production; nothing elsewhere."""
    if settings.environment != "production":
        return []
    return [finding for rule in RULES for finding in rule(settings)]


def _clear_text(settings: Settings) -> Iterator[str]:
    """Tokens, secrets and documents must not cross a network in clear text."""
    for role in PORT_OFFSETS:
        url, host = settings.url(role), settings.role(role).host
        if not _is_https(url):
            yield f"{role}.url is {url}: without TLS, tokens and files can be read on their way"
        if _is_open(host) and not settings.tls.enabled:
            yield (
                f"{role}.host is {host}: the role listens to the network without TLS; listen on 127.0.0.1, "
                "behind a proxy of this machine that speaks TLS, or enable [tls]"
            )


def _foreign_urls(settings: Settings) -> Iterator[str]:
    if not _is_https(settings.issuer_url()):
        yield f"issuer is {settings.issuer_url()}: it must be an https URL (RFC 8414)"
    for url in settings.admin.elements or ():
        if not _is_https(url):
            yield f"admin.elements has {url}: it must be an https URL"


def _limits(settings: Settings) -> Iterator[str]:
    limits = settings.server.rate_limits
    if not limits.credentials:
        yield "server.rate_limits.credentials is 0: secrets and passwords can be tried without end"
    if not limits.failures:
        yield "server.rate_limits.failures is 0: secrets can be tried from many addresses without end"


def _networks(settings: Settings) -> Iterator[str]:
    believed = (
        ("server.trusted_proxies", settings.server.trusted_proxies, "choose the address they come from"),
        ("tls.trusted_proxies", settings.tls.trusted_proxies, "choose the certificate they have"),
        ("admin.allowed_networks", settings.admin.allowed_networks or (), "send admin to any machine"),
    )
    for setting, networks, danger in believed:
        for network in networks:
            if network.prefixlen < SMALLEST_PREFIX:
                yield f"{setting} has {network}: everybody could {danger}"


def _origins(settings: Settings) -> Iterator[str]:
    if ANY_ORIGIN in settings.server.cors.origins:
        yield "server.cors.origins has *: list the origins whose pages may call this cluster"


def _logging(settings: Settings) -> Iterator[str]:
    if settings.logging.level == "debug":
        yield "logging.level is debug: it tells more than whoever reads logs need know"


def _auditing(settings: Settings) -> Iterator[str]:
    if not settings.audit.enabled:
        yield "audit.enabled is false: nobody could tell who did what"


RULES: Final[tuple[Rule, ...]] = (
    _clear_text,
    _foreign_urls,
    _limits,
    _networks,
    _origins,
    _logging,
    _auditing,
)


def crosses_in_clear_text(url: str) -> bool:
    """Whether what is said to ``url`` can be read on the way to another machine."""
    return not _is_https(url) and _is_open(urlsplit(url).hostname or "")


def _is_https(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_open(host: str) -> bool:
    """Whether others than this machine can connect. What a name stands for is not asked here."""
    address = parse_address(host)
    return host != "localhost" if address is None else not address.is_loopback

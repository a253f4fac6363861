"""What `environment = "production"` does not allow: everything at once, before anything starts."""

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from artstore.core.config import PORT_OFFSETS, Settings
from artstore.core.protection import ANY_ORIGIN, parse_address

Rule = Callable[[Settings], Iterator[str]]
"""Names each setting that it finds unsafe, and what to change."""


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
    for network in settings.server.trusted_proxies:
        if network.prefixlen == 0:
            yield f"server.trusted_proxies has {network}: everybody could choose the address they come from"
    for network in settings.tls.trusted_proxies:
        if network.prefixlen == 0:
            yield f"tls.trusted_proxies has {network}: everybody could choose the certificate they have"


def _origins(settings: Settings) -> Iterator[str]:
    if ANY_ORIGIN in settings.server.cors.origins:
        yield "server.cors.origins has *: list the origins whose pages may call this cluster"


def _logging(settings: Settings) -> Iterator[str]:
    if settings.logging.level == "debug":
        yield "logging.level is debug: it tells more than whoever reads logs need know"


def _auditing(settings: Settings) -> Iterator[str]:
    if not settings.audit.enabled:
        yield "audit.enabled is false: nobody could tell who did what"


RULES: Final[tuple[Rule, ...]] = (_clear_text, _foreign_urls, _limits, _origins, _logging, _auditing)


def _is_https(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_open(host: str) -> bool:
    """Whether others than this machine can connect. What a name stands for is not asked here."""
    address = parse_address(host)
    return host != "localhost" if address is None else not address.is_loopback

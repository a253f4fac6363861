"""Which client certificate a request comes with, and whether its names may use the route."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from artstore.core.audit.notes import note
from artstore.core.http.addresses import client_address
from artstore.core.http.operations import Endpoint
from artstore.core.keys import CLIENT_CERTIFICATE, CLIENT_NAME_RULES, TLS
from artstore.core.logging import get_logger
from artstore.core.protection import is_within
from artstore.core.spec import ConfigurationError, ForbiddenError, InvalidRequestError
from artstore.core.tls.contexts import ObservedConnection
from artstore.core.tls.endpoint import TlsEndpoint
from artstore.core.tls.identity import ClientCertificate
from artstore.core.tls.settings import ClientNameRule

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RulesByRoute = Mapping[web.AbstractRoute, Sequence[ClientNameRule]]

CERTIFICATE_HEADERS: Final = ("Client-Cert", "Client-Cert-Chain", "X-Client-Cert")
"""RFC 9440; and the header in which nginx passes on ``$ssl_client_escaped_cert``, which is no other's."""
_log: Final = get_logger("tls")


def rules_by_route(
    rules: Sequence[ClientNameRule], endpoints: Mapping[web.AbstractRoute, Endpoint]
) -> RulesByRoute:
    """The rules that hold for each route.

    Raises:
        ConfigurationError: a rule matches none, and so would protect nothing.
    """
    found: dict[web.AbstractRoute, list[ClientNameRule]] = {}
    for rule in rules:
        matching = [
            route for route, endpoint in endpoints.items() if re.fullmatch(rule.path, endpoint.operation.path)
        ]
        if not matching:
            raise ConfigurationError(
                f"[tls] client_names: the path {rule.path!r} matches no route of the role, and would protect "
                "nothing; routes are written as in the reference, /api/v1/files/{file_id}"
            )
        for route in matching:
            found.setdefault(route, []).append(rule)
    return found


@web.middleware
async def check_client_certificate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Establish whose certificate the client has, and refuse those whose names the rules do not allow.

    Raises:
        InvalidRequestError: a certificate comes in a header from somebody who is no listed proxy.
        ForbiddenError: the certificate is no longer good, or a strict rule does not allow it.
    """
    tls = request.app[TLS]
    connection = _connection(request)
    if connection is not None:
        tls.metrics.used(reused=connection.begin_request())
    certificate = _certificate(request, connection, tls)
    if certificate is not None:
        note(certificate_names=", ".join(sorted(certificate.names)))
        _refuse_what_has_ended(certificate, connection, tls)
        request[CLIENT_CERTIFICATE] = certificate
    for rule in request.app[CLIENT_NAME_RULES].get(request.match_info.route, ()):
        _decide(rule, certificate, request)
    return await handler(request)


def _connection(request: web.Request) -> ObservedConnection | None:
    transport = request.transport
    found = None if transport is None else transport.get_extra_info("ssl_object")
    return found if isinstance(found, ObservedConnection) else None


def _certificate(
    request: web.Request, connection: ObservedConnection | None, tls: TlsEndpoint
) -> ClientCertificate | None:
    """The client's: what a proxy shows to us on its own behalf says nothing of its clients."""
    is_told = any(name in request.headers for name in CERTIFICATE_HEADERS)
    # The peer itself: an address that somebody forwards proves nothing.
    if request.remote is not None and is_within(request.remote, tls.settings.trusted_proxies):
        return _told_by_proxy(request, tls) if is_told else None
    if is_told:
        raise InvalidRequestError(
            f"{', '.join(CERTIFICATE_HEADERS)} are for proxies that are listed in trusted_proxies of [tls]"
        )
    return None if connection is None else connection.client_certificate()


def _told_by_proxy(request: web.Request, tls: TlsEndpoint) -> ClientCertificate | None:
    told = [value for name in ("Client-Cert", "X-Client-Cert") for value in request.headers.getall(name, [])]
    # nginx sends the header empty where the client has shown no certificate.
    told = [value for value in told if value]
    if not told:
        return None
    if len(told) > 1:
        raise InvalidRequestError("there is more than one certificate of the client in the headers")
    try:
        certificate = ClientCertificate.from_der(_der(told[0]))
    except ValueError:
        raise InvalidRequestError("Client-Cert is not a certificate as RFC 9440 writes it") from None
    if not tls.is_issued_by_an_authority(certificate.certificate):
        raise _forbidden("the client's certificate is not of an authority that is trusted here")
    return certificate


def _der(value: str) -> bytes:
    """A byte sequence of structured fields (RFC 8941 section 3.3.5), or PEM, percent-encoded."""
    if value.startswith(":") and value.endswith(":") and len(value) > 1:
        try:
            return base64.b64decode(value[1:-1], validate=True)
        except binascii.Error as error:
            raise ValueError("no base64") from error
    return load_pem_x509_certificate(unquote(value).encode()).public_bytes(Encoding.DER)


def _refuse_what_has_ended(
    certificate: ClientCertificate, connection: ObservedConnection | None, tls: TlsEndpoint
) -> None:
    """Connections, and sessions that are resumed, may outlive what was found in the handshake."""
    if tls.is_revoked(certificate.certificate):
        raise _forbidden("the client's certificate has been revoked")
    if connection is not None and tls.is_withdrawn(connection, certificate.certificate):
        raise _forbidden("the authority of the client's certificate is not trusted any more")
    if not certificate.is_current():
        raise _forbidden("the client's certificate is not, or no longer, valid")


def _decide(rule: ClientNameRule, certificate: ClientCertificate | None, request: web.Request) -> None:
    """The one place where names are decided on; each decision is logged, and audited with its request."""
    names = certificate.names if certificate is not None else frozenset[str]()
    facts = {
        "rule": rule.path,
        "names": sorted(names),
        "method": request.method,
        "path": request.path,
        "client": client_address(request),
    }
    if not names.isdisjoint(rule.names):
        note(certificate="allowed")
        _log.debug("client_certificate_allowed", **facts)
        return
    if rule.mode == "warn":
        note(certificate="tolerated")
        _log.warning("client_certificate_tolerated", **facts)
        return
    note(certificate="refused")
    _log.warning("client_certificate_refused", **facts)
    raise _forbidden("this needs a client certificate of another name than the one that was shown, if any")


def _forbidden(detail: str) -> ForbiddenError:
    note(reason=detail)
    return ForbiddenError(detail)

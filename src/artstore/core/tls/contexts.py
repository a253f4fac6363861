"""The one place that makes SSL contexts, for servers and for clients."""

import os
import ssl
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Self

from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError
from artstore.core.tls.ciphers import Suites, chosen_suites
from artstore.core.tls.identity import ClientCertificate
from artstore.core.tls.material import KeyPair, Material
from artstore.core.tls.metrics import CERTIFICATE_FAULTS, TlsMetrics, error_type
from artstore.core.tls.settings import TlsSettings, VerifyMode

_VERIFY_MODES: Final[dict[VerifyMode, ssl.VerifyMode]] = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_log: Final = get_logger("tls")


class ObservedConnection(ssl.SSLObject):
    """Times its handshake, tells how that ended, and refuses a suite that was not chosen."""

    _started = 0.0
    _protocol: str | None = None
    _is_over = False
    _refusal: ssl.SSLError | None = None
    _has_served = False
    _certificate: ClientCertificate | None = None

    def do_handshake(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        self._started = self._started or time.perf_counter()
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._fail(kind := error_type(error), error)
            if self.server_side and kind in CERTIFICATE_FAULTS:
                self._send_alert(error)
            raise
        self._refuse_other_suites()
        self._succeed()

    def begin_request(self) -> bool:
        """Count a request; whether there was one before."""
        before, self._has_served = self._has_served, True
        return before

    def is_older_than(self, moment: float) -> bool:
        """Whether it was made by a context that was made before ``moment``."""
        return self._observed.made_at < moment

    def client_certificate(self) -> ClientCertificate | None:
        """What the client has shown, and proved to have the key of."""
        if self._certificate is None and (der := self.getpeercert(binary_form=True)) is not None:
            self._certificate = ClientCertificate.from_der(der)
        return self._certificate

    def __del__(self) -> None:
        # Neither asyncio nor uvloop tells a connection that it is over; both let go of it.
        if self._protocol is not None or (self._started and not self._is_over):
            self._observed.metrics.gone(self._protocol)

    @property
    def _observed(self) -> "ObservedContext":
        context = self.context
        assert isinstance(context, ObservedContext), "only those make such connections"
        return context

    def _send_alert(self, error: ssl.SSLError) -> None:
        """Have a client whose certificate is refused told why (RFC 8446 section 6.2).

        asyncio and uvloop drop what a failed handshake has to send, but not what one has that waits for
        more. The connection then ends when the client has heard the alert, at the latest when the time
        of handshakes is over. Other failures are scanners and mistakes, for which nothing is kept open.
        """
        self._refusal = error
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the client is told") from error

    def _refuse_other_suites(self) -> None:
        if self.version() == "TLSv1.3" and self._suite not in self._observed.suites.tls13:
            error = ssl.SSLError(ssl.SSL_ERROR_SSL, f"the suite {self._suite} is not one of [tls] ciphers")
            self._fail("cipher_error", error)
            raise error

    @property
    def _suite(self) -> str:
        cipher = self.cipher()
        assert cipher is not None, "a connection has a suite after its handshake"
        return cipher[0]

    def _succeed(self) -> None:
        self._protocol = self.version() or "unknown"
        self._observed.metrics.succeeded(
            protocol=self._protocol,
            suite=self._suite,
            seconds=time.perf_counter() - self._started,
            with_certificate=self.getpeercert(binary_form=True) is not None,
        )

    def _fail(self, kind: str, error: ssl.SSLError) -> None:
        self._is_over = True
        self._observed.metrics.failed(kind)
        # A client's caller is told by the exception; of a server's failures nobody else hears.
        if self.server_side:
            reason = getattr(error, "verify_message", None) or error.reason or str(error)
            _log.info("tls_handshake_failed", error_type=kind, reason=reason)


class ObservedContext(ssl.SSLContext):
    """Whose connections are measured."""

    sslobject_class = ObservedConnection
    suites: Suites
    metrics: TlsMetrics
    made_at: float

    def __new__(cls, protocol: int, *, suites: Suites, metrics: TlsMetrics) -> Self:
        """As of :class:`ssl.SSLContext`, which is configured where it is made."""
        context = super().__new__(cls, protocol)
        context.suites, context.metrics, context.made_at = suites, metrics, time.monotonic()
        return context


class CurrentContext(ssl.SSLContext):
    """What servers and connectors are given: each new connection is made by the context of the moment.

    So files that changed hold from the next handshake on, and connections that are there stay. Changing
    one context in place would not do: what it trusts can only grow, and tickets of its sessions would go on
    opening connections for clients that were revoked since.
    """

    _current: ssl.SSLContext | None = None

    def replace(self, context: ssl.SSLContext) -> None:
        """From now on, make connections with ``context``."""
        self._current = context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        assert self._current is not None, "certificates are read before the first connection is made"
        return self._current.wrap_bio(*arguments, **options)


def current_context(*, server_side: bool) -> CurrentContext:
    """A context that makes no connections yet."""
    return CurrentContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)


def server_context(settings: TlsSettings, material: Material, metrics: TlsMetrics) -> ObservedContext:
    """A context for a server that shows its certificate and asks for those of its clients.

    Raises:
        ConfigurationError: OpenSSL refuses a certificate, a key or a list; one line.
    """
    assert material.server is not None, "the settings ask for it where TLS is enabled"
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings, metrics)
    _load_pair(context, material.server, "cert_file")
    if settings.verify_mode != "none":
        _trust(context, material)
    context.verify_mode = _VERIFY_MODES[settings.verify_mode]
    return context


def client_context(settings: TlsSettings, material: Material, metrics: TlsMetrics) -> ObservedContext:
    """A context for clients: servers must prove who they are, by our authorities or else the system's.

    Raises:
        ConfigurationError: OpenSSL refuses a certificate, a key or a list; one line.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings, metrics)
    if material.authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, material)
    if material.client is not None:
        _load_pair(context, material.client, "client_cert_file")
    return context


def _context(protocol: int, settings: TlsSettings, metrics: TlsMetrics) -> ObservedContext:
    suites = chosen_suites(settings.ciphers, lowest_version=settings.protocol_version)
    context = ObservedContext(protocol, suites=suites, metrics=metrics)
    context.minimum_version = (
        ssl.TLSVersion.TLSv1_2 if settings.protocol_version == "1.2" else ssl.TLSVersion.TLSv1_3
    )
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    suites.choose(context)
    return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair, setting: str) -> None:
    def load(chain: str) -> None:
        with _as_file(pair.key) as key:
            context.load_cert_chain(chain, key)

    _given_to_openssl(setting, pair.chain, load)


def _trust(context: ssl.SSLContext, material: Material) -> None:
    assert material.authorities is not None, "the settings ask for them"
    _given_to_openssl("ca_cert_file", material.authorities, context.load_verify_locations)
    if material.revocations is not None:
        _given_to_openssl("crl_file", material.revocations, context.load_verify_locations)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _given_to_openssl(setting: str, pem: bytes, load: Callable[[str], object]) -> None:
    try:
        with _as_file(pem) as path:
            load(path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"[tls] {setting}: OpenSSL refuses it: {error.reason or error}") from None


@contextmanager
def _as_file(pem: bytes) -> Generator[str, None, None]:
    """``pem`` under a path, in memory: OpenSSL takes paths only, and what was checked is what it reads."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"

"""What is measured of TLS, as a server and as a client."""

import ssl
from collections import deque
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

HANDSHAKE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2)


class TlsMetrics:
    """The numbers of one application. Labels are of closed sets: OpenSSL's suites, our own certificates."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gone: deque[str | None] = deque()
        # Before the others: whoever reads them reads what is true now.
        registry.register(self)
        self.handshake_duration = Histogram(
            "tls_handshake_duration_seconds",
            "Time from the first to the last message of a handshake that succeeded.",
            ["protocol", "cipher_suite"],
            buckets=HANDSHAKE_BUCKETS,
            registry=registry,
        )
        self.handshakes = Counter(
            "tls_handshake_total",
            "Handshakes, by how they ended and why they failed.",
            ["status", "error_type"],
            registry=registry,
        )
        self.connections_active = Gauge(
            "tls_connections_active", "Connections that are open.", ["protocol"], registry=registry
        )
        self.connection_reuse = Counter(
            "tls_connection_reuse_total",
            "Requests sent or served over TLS, by whether their connection had served one before.",
            ["reused"],
            registry=registry,
        )
        self.expiry_days = Gauge(
            "tls_certificate_expiry_days",
            "Days until a certificate expires; negative when it has expired.",
            ["cert_type", "subject"],
            registry=registry,
        )
        self.validations = Counter(
            "tls_certificate_validation_total",
            "Validations of peers' certificates, by result.",
            ["result"],
            registry=registry,
        )
        self.protocols = Counter(
            "tls_protocol_usage_total",
            "Handshakes that succeeded, by protocol.",
            ["protocol"],
            registry=registry,
        )
        self.suites = Counter(
            "tls_cipher_suite_usage_total",
            "Handshakes that succeeded, by cipher suite.",
            ["cipher_suite", "protocol"],
            registry=registry,
        )

    def succeeded(self, *, protocol: str, suite: str, seconds: float, with_certificate: bool) -> None:
        """A handshake ended well, and a connection is open."""
        self._count_gone()
        self.handshake_duration.labels(protocol, suite).observe(seconds)
        self.handshakes.labels("success", "none").inc()
        self.protocols.labels(protocol).inc()
        self.suites.labels(suite, protocol).inc()
        self.connections_active.labels(protocol).inc()
        if with_certificate:
            self.validations.labels("valid").inc()

    def failed(self, error_type: str) -> None:
        """A handshake failed."""
        self._count_gone()
        self.handshakes.labels("failure", error_type).inc()
        if (result := _RESULTS.get(error_type)) is not None:
            self.validations.labels(result).inc()

    def gone(self, protocol: str | None) -> None:
        """A connection is no more: one of ``protocol``, or one whose handshake was broken off (``None``).

        Called by the garbage collector, so at any moment, also while this thread holds the lock of one of
        the numbers. They are therefore changed later.
        """
        self._gone.append(protocol)

    def collect(self) -> Iterable[Metric]:
        """Nothing of its own: as a collector, it is told that its numbers are about to be read."""
        self._count_gone()
        return ()

    def used(self, *, reused: bool) -> None:
        """A request goes over a connection."""
        self.connection_reuse.labels("true" if reused else "false").inc()

    def _count_gone(self) -> None:
        while self._gone:
            if (protocol := self._gone.popleft()) is None:
                self.handshakes.labels("failure", "aborted").inc()
            else:
                self.connections_active.labels(protocol).dec()


_RESULTS: Final = {
    "cert_expired": "expired",
    "cert_revoked": "revoked",
    "cert_untrusted": "untrusted",
    "cert_invalid": "invalid",
}
# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_BY_VERIFY_CODE: Final = {
    10: "cert_expired",
    23: "cert_revoked",
    **dict.fromkeys((2, 18, 19, 20, 21, 27), "cert_untrusted"),
}
CERTIFICATE_FAULTS: Final = frozenset({*_RESULTS, "cert_missing"})
"""Kinds of failures that are about the certificate of the other side."""
_BY_REASON: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "cert_missing",
    "NO_SHARED_CIPHER": "cipher_error",
    "UNSUPPORTED_PROTOCOL": "protocol_error",
    "WRONG_VERSION_NUMBER": "protocol_error",
    "HTTP_REQUEST": "protocol_error",
    "HTTPS_PROXY_REQUEST": "protocol_error",
}


def error_type(error: ssl.SSLError) -> str:
    """Of what kind a failed handshake is; one of a closed set."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code, "cert_invalid")
    reason = error.reason or ""
    if "ALERT" in reason:
        return "peer_refused"
    return _BY_REASON.get(reason, "other")

"""The TLS of one application: its contexts, which follow the files, and what its certificates are about."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, ConfigurationError
from artstore.core.tls.ciphers import chosen_suites, preferred_suite
from artstore.core.tls.contexts import (
    CurrentContext,
    ObservedConnection,
    ObservedContext,
    client_context,
    current_context,
    server_context,
)
from artstore.core.tls.material import (
    Material,
    MaterialReader,
    certificates,
    has_signed,
    revocation_lists,
    subject_of,
)
from artstore.core.tls.metrics import TlsMetrics
from artstore.core.tls.settings import TlsSettings

EXPIRY_CHECK_INTERVAL: Final = 3600.0
"""Seconds between two looks at when certificates expire."""
EXPIRES_SOON: Final = timedelta(days=30)
_log: Final = get_logger("tls")

FindKey = Callable[[str], Awaitable[bytes]]
"""The secret of a name, from the secrets chain."""


class TlsEndpoint:
    """As a server and as a client. Its contexts can be given away before they are filled."""

    def __init__(
        self, settings: TlsSettings, *, role: str, base_directory: Path, metrics: TlsMetrics
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.server: CurrentContext | None = current_context(server_side=True) if settings.enabled else None
        self.client = current_context(server_side=False)
        self._reader = MaterialReader(settings, role=role, base_directory=base_directory)
        self._material: Material | None = None
        self._authorities: tuple[x509.Certificate, ...] = ()
        self._withdrawn = set[x509.Certificate]()
        self._withdrawn_at = 0.0
        self._revoked: frozenset[tuple[bytes, int]] = frozenset()
        self._failure: str | None = None
        self._told: str | None = None

    @asynccontextmanager
    async def open(self, find_key: FindKey) -> AsyncGenerator[None, None]:
        """Fill the contexts, and follow the files as long as this is open.

        Raises:
            ConfigurationError: something cannot be used; one line.
        """
        await self._load(find_key)
        self._warn()
        following = [
            asyncio.create_task(self._follow(find_key)),
            asyncio.create_task(self._watch_expiry()),
        ]
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    def client_ssl_context(self) -> ssl.SSLContext:
        """For connections to others; what plugins are given, too."""
        return self.client

    def is_revoked(self, certificate: x509.Certificate) -> bool:
        """Whether the lists of the moment name ``certificate``: it may have been shown before they did."""
        return (certificate.issuer.public_bytes(), certificate.serial_number) in self._revoked

    def is_withdrawn(self, connection: ObservedConnection, certificate: x509.Certificate) -> bool:
        """Whether its authority was trusted when ``connection`` was made, and is no longer."""
        return (
            connection.is_older_than(self._withdrawn_at)
            and any(has_signed(authority, certificate) for authority in self._withdrawn)
            and not self.is_issued_by_an_authority(certificate)
        )

    def is_issued_by_an_authority(self, certificate: x509.Certificate) -> bool:
        """Whether one of ``ca_cert_file`` has signed it, directly. True when there are none."""
        return not self._authorities or any(
            has_signed(authority, certificate) for authority in self._authorities
        )

    async def _load(self, find_key: FindKey) -> bool:
        """Make new contexts if anything changed; whether it did."""
        keys = {
            name: await find_key(value["secret"])
            for name, value in (
                ("key_file", self.settings.key_file),
                ("client_key_file", self.settings.client_key_file),
            )
            if isinstance(value, dict)
        }
        material = await asyncio.to_thread(self._reader.read, keys, known=self._material)
        if material == self._material:
            return False
        # In a thread: OpenSSL parses every certificate, and those of a system are many.
        contexts = await asyncio.to_thread(self._contexts, material)
        self._adopt(material, *contexts)
        return True

    def _contexts(self, material: Material) -> tuple[ObservedContext | None, ObservedContext]:
        server = server_context(self.settings, material, self.metrics) if self.settings.enabled else None
        return server, client_context(self.settings, material, self.metrics)

    def _adopt(self, material: Material, server: ObservedContext | None, client: ObservedContext) -> None:
        self._material = material
        authorities = tuple(_all(material.authorities))
        gone = set(self._authorities).difference(authorities)
        self._authorities = authorities
        if self.server is not None and server is not None:
            self.server.replace(server)
            if gone:
                self._withdrawn |= gone
                self._withdrawn_at = server.made_at
        self.client.replace(client)
        lists = revocation_lists(material.revocations, named="crl_file") if material.revocations else ()
        self._revoked = frozenset(
            (listed.issuer.public_bytes(), entry.serial_number) for listed in lists for entry in listed
        )
        self._tell_expiry()

    async def _follow(self, find_key: FindKey) -> None:
        while True:
            end_if_cancelled()
            await asyncio.sleep(self.settings.reload_interval)
            try:
                self._note_success(has_changed=await self._load(find_key))
            except (ConfigurationError, ArtStoreError) as error:
                self._keep_old(str(error))
            except Exception as error:
                # Whatever it was: a role that stops following would let revoked clients in for ever.
                self._keep_old(type(error).__name__, error=error)

    def _note_success(self, *, has_changed: bool) -> None:
        if has_changed:
            _log.info("tls_reloaded", certificates=[subject for _, subject, _ in self._expiries()])
        elif self._told is not None:
            _log.info("tls_files_restored", told_before=self._told)
        self._failure = self._told = None

    def _keep_old(self, reason: str, *, error: Exception | None = None) -> None:
        """Told once, at the second look: certificate and key are replaced one after the other."""
        if reason == self._failure and reason != self._told:
            _log.error("tls_reload_failed", reason=reason, kept="what was loaded before", exc_info=error)
            self._told = reason
        self._failure = reason

    async def _watch_expiry(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_CHECK_INTERVAL)
            self._tell_expiry()

    def _tell_expiry(self) -> None:
        now = datetime.now(UTC)
        self.metrics.expiry_days.clear()
        for kind, subject, expires in self._expiries():
            left = expires - now
            self.metrics.expiry_days.labels(kind, subject).set(left / timedelta(days=1))
            if left < EXPIRES_SOON:
                _log.warning(
                    "tls_certificate_expires_soon", kind=kind, subject=subject, expires=expires.isoformat()
                )

    def _expiries(self) -> list[tuple[str, str, datetime]]:
        """Kind, subject and end of each certificate of ours."""
        material = self._material
        assert material is not None, "asked for after loading"
        found = [("ca", certificate) for certificate in self._authorities]
        for kind, pair in (("server", material.server), ("client", material.client)):
            found += [(kind, _all(pair.chain)[0])] if pair else []
        expiries = [(kind, subject_of(each), each.not_valid_after_utc) for kind, each in found]
        # An authority and its successor may have one name: what is told of it last is what expires first.
        return sorted(expiries, key=lambda expiry: expiry[2], reverse=True)

    def _warn(self) -> None:
        if not self.settings.enabled:
            return
        if self.settings.protocol_version == "1.2":
            _log.warning("tls_1_2_allowed", advice='set protocol_version = "1.3" when no client needs 1.2')
        suites = chosen_suites(self.settings.ciphers, lowest_version=self.settings.protocol_version)
        if (preferred := preferred_suite()) not in suites.tls13:
            _log.warning(
                "tls_preferred_suite_refused",
                suite=preferred,
                advice="clients that offer it are refused after the handshake: take it out of OpenSSL's "
                "own configuration as well (Ciphersuites in openssl.cnf)",
            )


def _all(pem: bytes | None) -> list[x509.Certificate]:
    return [] if pem is None else list(certificates(pem, named="ca_cert_file"))

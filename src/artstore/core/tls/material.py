"""Certificates, keys and revocation lists: read, and looked at before OpenSSL is given them."""

import os
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from artstore.core.spec import ConfigurationError
from artstore.core.tls.settings import ROLE_PLACEHOLDER, TlsSettings, is_pem

T = TypeVar("T")

LARGEST_FILE: Final = 4 * 1024 * 1024
"""Bytes; the bundle of a system's authorities is a tenth of it, a long revocation list half."""
_USAGES: Final = {
    "cert_file": (ExtendedKeyUsageOID.SERVER_AUTH, "servers"),
    "client_cert_file": (ExtendedKeyUsageOID.CLIENT_AUTH, "clients"),
}
"""What each certificate has to be for."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its chain, and its private key, both PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that the section names, as bytes: equal as long as nothing changed."""

    server: KeyPair | None
    client: KeyPair | None
    authorities: bytes | None
    revocations: bytes | None


class MaterialReader:
    """Reads what ``settings`` name for one role. ``keys`` are those that come from the secrets chain."""

    def __init__(self, settings: TlsSettings, *, role: str, base_directory: Path) -> None:
        self._settings = settings
        self._role = role
        self._base_directory = base_directory

    def read(
        self, keys: dict[str, bytes], *, known: Material | None = None, now: datetime | None = None
    ) -> Material:
        """Read everything, from disk where it is not in the settings, and check that it can be used.

        What is as it was in ``known`` is not looked at again: a certificate that has expired meanwhile must
        not keep a role from learning who was revoked.

        Raises:
            ConfigurationError: one line that names the setting, the file, and what is wrong with it.
        """
        settings, now = self._settings, now or datetime.now(UTC)
        known = known or Material(None, None, None, None)
        authorities = self._text("ca_cert_file", settings.ca_cert_file)
        revocations = self._text("crl_file", settings.crl_file)
        server = self._pair("cert_file", "key_file", keys, known.server, now) if settings.enabled else None
        client = self._pair("client_cert_file", "client_key_file", keys, known.client, now)
        if authorities is not None and authorities != known.authorities:
            with _understood(self._named("ca_cert_file")):
                _check_authorities(self._named("ca_cert_file"), authorities, now)
        if revocations is not None:
            assert authorities is not None, "the settings ask for both"
            with _understood(self._named("crl_file")):
                _check_revocations(self._named("crl_file"), revocations, authorities, now)
                for pair in (server, client):
                    _check_listed(self._named("crl_file"), revocations, authorities, pair)
        return Material(server, client, authorities, revocations)

    def _pair(
        self, cert: str, key: str, keys: dict[str, bytes], known: KeyPair | None, now: datetime
    ) -> KeyPair | None:
        chain = self._text(cert, getattr(self._settings, cert))
        if chain is None:
            return None
        private = (
            keys[key] if key in keys else self._text(key, getattr(self._settings, key).get_secret_value())
        )
        assert private is not None, "the settings ask for both"
        pair = KeyPair(chain, private)
        if pair != known:
            self._check_pair(cert, key, pair, now)
        return pair

    def _check_pair(self, cert: str, key: str, pair: KeyPair, now: datetime) -> None:
        with _understood(self._named(cert)):
            leaf = certificates(pair.chain, named=self._named(cert))[0]
            _check_times(self._named(cert), leaf, now)
            _check_usage(self._named(cert), leaf, *_USAGES[cert])
        with _understood(self._named(key)):
            _check_key(self._named(key), pair.key, leaf, self._named(cert))

    def _text(self, name: str, value: str | None) -> bytes | None:
        if value is None or is_pem(value):
            return None if value is None else value.encode()
        path = self._path(value)
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ConfigurationError(f"[tls] {name}: {path} is not a regular file")
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise ConfigurationError(f"[tls] {name}: cannot read {path}: {error.strerror}") from None
        if len(content) > LARGEST_FILE:
            raise ConfigurationError(f"[tls] {name}: {path} is larger than {LARGEST_FILE} bytes")
        return content

    def _path(self, value: str) -> Path:
        return self._base_directory / value.replace(ROLE_PLACEHOLDER, self._role)

    def _named(self, name: str) -> str:
        """How messages name a setting: with its file, never with its content."""
        value = getattr(self._settings, name)
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        is_path = isinstance(text, str) and not is_pem(text)
        return f"[tls] {name}: {self._path(text)}" if is_path else f"[tls] {name}"


def certificates(pem: bytes, *, named: str) -> Sequence[x509.Certificate]:
    """The certificates of ``pem``, at least one.

    Raises:
        ConfigurationError: there is none, or one is damaged.
    """
    return _parsed(x509.load_pem_x509_certificates, pem, f"{named} has no readable certificate (PEM)")


def revocation_lists(pem: bytes, *, named: str) -> Sequence[x509.CertificateRevocationList]:
    """The revocation lists of ``pem``, at least one.

    Raises:
        ConfigurationError: there is none, or one is damaged.
    """
    end = b"-----END X509 CRL-----"
    blocks = [block + end for block in pem.split(end)[:-1]]
    lists = [_parsed(x509.load_pem_x509_crl, block, f"{named} has a damaged list") for block in blocks]
    if not lists:
        raise ConfigurationError(f"{named} has no revocation list (PEM)")
    return lists


def subject_of(certificate: x509.Certificate) -> str:
    """The common name of a certificate, or all of its subject."""
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else certificate.subject.rfc4514_string()


def has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether ``certificate`` was issued by ``authority`` itself."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _parsed(parse: Callable[[bytes], T], pem: bytes, message: str) -> T:
    try:
        return parse(pem)
    except (ValueError, TypeError):
        raise ConfigurationError(message) from None


@contextmanager
def _understood(name: str) -> Generator[None, None, None]:
    """Parts of a certificate are read when they are looked at: what is PEM may still be damaged inside."""
    try:
        yield
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{name} has something in it that cannot be understood") from None


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe must not wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_key(name: str, key: bytes, leaf: x509.Certificate, cert_name: str) -> None:
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise ConfigurationError(f"{name} is encrypted; keep it in the secrets chain instead") from None
    except ValueError:
        raise ConfigurationError(f"{name} has no readable private key (PEM)") from None
    if private.public_key() != leaf.public_key():
        raise ConfigurationError(f"{name} is not the key of {cert_name.removeprefix('[tls] ')}")


def _check_usage(name: str, leaf: x509.Certificate, usage: x509.ObjectIdentifier, whom: str) -> None:
    """Whoever is shown a certificate that is for something else refuses it (RFC 5280 section 4.2.1.12)."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if usage not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
        raise ConfigurationError(f"{name}: {subject_of(leaf)} is not for {whom} (extendedKeyUsage)")


def _check_authorities(name: str, pem: bytes, now: datetime) -> None:
    for certificate in certificates(pem, named=name):
        try:
            is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        if not is_authority:
            raise ConfigurationError(f"{name}: {subject_of(certificate)} is no authority (basicConstraints)")
        _check_times(name, certificate, now)


def _check_revocations(name: str, pem: bytes, authorities: bytes, now: datetime) -> None:
    known = certificates(authorities, named="[tls] ca_cert_file")
    for revocations in revocation_lists(pem, named=name):
        signers = [authority for authority in known if authority.subject == revocations.issuer]
        if not any(revocations.is_signature_valid(signer.public_key()) for signer in signers):  # type: ignore[arg-type]
            raise ConfigurationError(f"{name} is not signed by an authority of ca_cert_file")
        _check_list(name, revocations, now)


def _check_listed(name: str, pem: bytes, authorities: bytes, pair: KeyPair | None) -> None:
    """Without a list of its issuer, whoever checks lists refuses a certificate, our own among them."""
    if pair is None:
        return
    leaf = certificates(pair.chain, named=name)[0]
    issuers = [each for each in certificates(authorities, named=name) if has_signed(each, leaf)]
    lists = revocation_lists(pem, named=name)
    for issuer in issuers:
        if not any(listed.is_signature_valid(issuer.public_key()) for listed in lists):  # type: ignore[arg-type]
            raise ConfigurationError(
                f"{name} has no list of {subject_of(issuer)}, which issued {subject_of(leaf)}: all who check "
                "lists would refuse that"
            )


def _check_list(name: str, revocations: x509.CertificateRevocationList, now: datetime) -> None:
    """With a list that OpenSSL cannot use, it refuses every certificate of that authority."""
    if revocations.next_update_utc is not None and revocations.next_update_utc < now:
        raise ConfigurationError(f"{name} is out of date since {_minute(revocations.next_update_utc)}")
    if revocations.last_update_utc > now:
        raise ConfigurationError(f"{name} is valid only from {_minute(revocations.last_update_utc)}")
    for extension in revocations.extensions:
        if extension.critical and not isinstance(extension.value, x509.IssuingDistributionPoint):
            raise ConfigurationError(
                f"{name} has a critical extension, {extension.oid.dotted_string}, that is not understood: "
                "lists of changes (delta) cannot be used"
            )


def _check_times(name: str, certificate: x509.Certificate, now: datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise ConfigurationError(
            f"{name}: {subject_of(certificate)} has expired on "
            f"{_minute(certificate.not_valid_after_utc)}; `artstore certs renew` makes new ones of "
            "those that `artstore certs` made"
        )
    if certificate.not_valid_before_utc > now:
        raise ConfigurationError(
            f"{name}: {subject_of(certificate)} is valid only from "
            f"{_minute(certificate.not_valid_before_utc)}"
        )


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"

"""Certificates, keys and revocation lists: read, and looked at before OpenSSL is given them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from artstore.core.spec import ConfigurationError
from artstore.core.tls.settings import ROLE_PLACEHOLDER, TlsSettings

T = TypeVar("T")

PEM_BEGIN: Final = "-----BEGIN "
LARGEST_FILE: Final = 4 * 1024 * 1024
"""Bytes; the bundle of a system's authorities is a tenth of it, a long revocation list half."""


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

    def read(self, keys: dict[str, bytes], *, now: datetime | None = None) -> Material:
        """Read everything, from disk where it is not in the settings, and check that it can be used.

        Raises:
            ConfigurationError: one line that names the setting, the file, and what is wrong with it.
        """
        settings, now = self._settings, now or datetime.now(UTC)
        authorities = self._text("ca_cert_file", settings.ca_cert_file)
        revocations = self._text("crl_file", settings.crl_file)
        server = self._pair("cert_file", "key_file", keys, now) if settings.enabled else None
        client = self._pair("client_cert_file", "client_key_file", keys, now)
        if authorities is not None:
            _check_authorities(self._named("ca_cert_file"), authorities, now)
        if revocations is not None:
            assert authorities is not None, "the settings ask for both"
            _check_revocations(self._named("crl_file"), revocations, authorities, now)
        return Material(server, client, authorities, revocations)

    def _pair(self, cert: str, key: str, keys: dict[str, bytes], now: datetime) -> KeyPair | None:
        chain = self._text(cert, getattr(self._settings, cert))
        if chain is None:
            return None
        private = (
            keys[key] if key in keys else self._text(key, getattr(self._settings, key).get_secret_value())
        )
        assert private is not None, "the settings ask for both"
        _check_pair(self._named(cert), chain, self._named(key), private, now)
        return KeyPair(chain, private)

    def _text(self, name: str, value: str | None) -> bytes | None:
        if value is None or value.lstrip().startswith(PEM_BEGIN):
            return None if value is None else value.encode()
        path = self._path(value)
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise ConfigurationError(f"[tls] {name}: {path} is larger than {LARGEST_FILE} bytes")
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"[tls] {name}: cannot read {path}: {error.strerror}") from None

    def _path(self, value: str) -> Path:
        return self._base_directory / value.replace(ROLE_PLACEHOLDER, self._role)

    def _named(self, name: str) -> str:
        """How messages name a setting: with its file, never with its content."""
        value = getattr(self._settings, name)
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        is_path = isinstance(text, str) and not text.lstrip().startswith(PEM_BEGIN)
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


def _parsed(parse: Callable[[bytes], T], pem: bytes, message: str) -> T:
    try:
        return parse(pem)
    except (ValueError, TypeError):
        raise ConfigurationError(message) from None


def _check_pair(cert_name: str, chain: bytes, key_name: str, key: bytes, now: datetime) -> None:
    leaf = certificates(chain, named=cert_name)[0]
    _check_times(cert_name, leaf, now)
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise ConfigurationError(f"{key_name} is encrypted; keep it in the secrets chain instead") from None
    except ValueError:
        raise ConfigurationError(f"{key_name} has no readable private key (PEM)") from None
    if private.public_key() != leaf.public_key():
        raise ConfigurationError(f"{key_name} is not the key of {cert_name.removeprefix('[tls] ')}")


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
        if revocations.next_update_utc is not None and revocations.next_update_utc < now:
            raise ConfigurationError(
                f"{name} is out of date since {revocations.next_update_utc:%Y-%m-%d %H:%M} UTC"
            )


def _check_times(name: str, certificate: x509.Certificate, now: datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise ConfigurationError(
            f"{name}: {subject_of(certificate)} has expired on "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; `artstore certs renew` makes new ones of "
            "those that `artstore certs` made"
        )
    if certificate.not_valid_before_utc > now:
        raise ConfigurationError(
            f"{name}: {subject_of(certificate)} is valid only from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )

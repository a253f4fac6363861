"""A certificate authority in one directory: for a cluster that has no other."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from yarl import URL

from artstore.cli.whole_files import Content, put, put_together
from artstore.core.spec import ConfigurationError

Usage = Literal["server", "client"]

AUTHORITY: Final = "ca"
CRL_NAME: Final = "crl.pem"
AUTHORITY_YEARS: Final = 10
DEFAULT_DAYS: Final = 365
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid from so long ago: the clocks of two machines differ."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)
_USAGES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
_HASH: Final = hashes.SHA256()


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate of the directory, by the name of its file."""

    name: str
    certificate: x509.Certificate
    is_revoked: bool

    @property
    def usage(self) -> str:
        """What it is for."""
        if self.name == AUTHORITY:
            return "authority"
        try:
            usages = self.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:  # of somebody else, who put it here
            return "any"
        return "server" if ExtendedKeyUsageOID.SERVER_AUTH in usages else "client"

    @property
    def hosts(self) -> Sequence[str]:
        """The names and addresses that it is for."""
        try:
            names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        return [str(name.value) for name in names]


class Authority:
    """The directory: ``ca.crt`` and ``ca.key``, ``<name>.crt`` and ``<name>.key``, ``crl.pem``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def exists(self) -> bool:
        """Whether there is an authority here."""
        return self._path(AUTHORITY, "crt").exists()

    def create(self) -> None:
        """Make the authority, which has revoked nothing."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ArtStore CA")])
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            _certificate(subject, issuer=subject, end=_now() + timedelta(days=AUTHORITY_YEARS * 365))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, _HASH)
        )
        self._write_pair(AUTHORITY, certificate, key)
        self._write_revocations([])

    def issue(self, name: str, usage: Usage, *, hosts: Sequence[str] = (), days: int = DEFAULT_DAYS) -> None:
        """Make a key and a certificate for ``name``, which is also one of its hosts.

        Raises:
            ConfigurationError: the name is taken or no name, or the authority's key is not here.
        """
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(f"{name!r} cannot be a name: use a-z, 0-9, dot and hyphen")
        if self._path(name, "crt").exists():
            raise ConfigurationError(f"there is a certificate {name} already; `artstore certs renew {name}`")
        self._issue(name, usage, hosts=hosts, days=days)

    def renew(self, name: str, *, days: int = DEFAULT_DAYS) -> None:
        """Make a new key and certificate for ``name``, with the same names and purpose.

        Raises:
            ConfigurationError: there is none, or the authority's key is not here.
        """
        old = self._issued(name)
        if name == AUTHORITY:
            raise ConfigurationError("the authority itself is not renewed: make another one, and trust both")
        usage: Usage = "server" if old.usage == "server" else "client"
        self._issue(name, usage, hosts=old.hosts, days=days)

    def revoke(self, name: str) -> None:
        """Add the certificate of ``name`` to the revocation list. Once more is as good as once.

        Raises:
            ConfigurationError: there is none, or the authority's key is not here.
        """
        issued = self._issued(name)
        if name == AUTHORITY:
            raise ConfigurationError("an authority cannot revoke itself")
        if not issued.is_revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(issued.certificate.serial_number)
                .revocation_date(_now())
                .build()
            )
            self._write_revocations([*self._revocations(), entry])

    def certificates(self) -> list[Issued]:
        """Every certificate of the directory, the authority first."""
        names = sorted(path.stem for path in self.directory.glob("*.crt"))
        return [self._issued(name) for name in sorted(names, key=lambda name: name != AUTHORITY)]

    def _issue(self, name: str, usage: Usage, *, hosts: Sequence[str], days: int) -> None:
        authority, authority_key = self._issued(AUTHORITY).certificate, self._authority_key
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = dict.fromkeys([name, *hosts])
        end = min(_now() + timedelta(days=days), authority.not_valid_after_utc)
        certificate = (
            _certificate(subject, issuer=authority.subject, end=end)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGES[usage]]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in names]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_identifier(authority), critical=False)
            .sign(authority_key, _HASH)
        )
        self._write_pair(name, certificate, key)

    def _issued(self, name: str) -> Issued:
        try:
            certificate = x509.load_pem_x509_certificate(self._path(name, "crt").read_bytes())
        except FileNotFoundError:
            raise ConfigurationError(f"there is no certificate {self._path(name, 'crt')}") from None
        except ValueError:
            raise ConfigurationError(f"{self._path(name, 'crt')} is not a certificate") from None
        revoked = {entry.serial_number for entry in self._revocations()}
        return Issued(name, certificate, certificate.serial_number in revoked)

    @cached_property
    def _authority_key(self) -> rsa.RSAPrivateKey:
        path = self._path(AUTHORITY, "key")
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except FileNotFoundError:
            raise ConfigurationError(f"{path} is not here: bring it back from where it is kept") from None
        except (ValueError, TypeError):
            raise ConfigurationError(f"{path} is not a private key without a password") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigurationError(f"{path} is not an RSA key, and so none that `artstore certs` made")
        return key

    def _revocations(self) -> list[x509.RevokedCertificate]:
        path = self.directory / CRL_NAME
        return list(x509.load_pem_x509_crl(path.read_bytes())) if path.exists() else []

    def _write_revocations(self, entries: Sequence[x509.RevokedCertificate]) -> None:
        authority = self._issued_authority()
        # It never goes out of date by itself: the list is a file that is read again when it changes, not a
        # copy of something somewhere else, and an old one must not stop the cluster.
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(_now() - CLOCK_SKEW)
            .next_update(authority.not_valid_after_utc)
            .add_extension(_authority_identifier(authority), critical=False)
            .add_extension(x509.CRLNumber(len(entries)), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        revocations = builder.sign(self._authority_key, _HASH)
        put(self.directory / CRL_NAME, revocations.public_bytes(Encoding.PEM), mode=0o644)

    def _issued_authority(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._path(AUTHORITY, "crt").read_bytes())

    def _write_pair(
        self, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    ) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        put_together(
            {
                self._path(name, "key"): Content(pem, 0o600),
                self._path(name, "crt"): Content(certificate.public_bytes(Encoding.PEM), 0o644),
            }
        )

    def _path(self, name: str, suffix: str) -> Path:
        return self.directory / f"{name}.{suffix}"


def _certificate(subject: x509.Name, *, issuer: x509.Name, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - CLOCK_SKEW)
        .not_valid_after(end)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _general_name(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ip_address(host))
    try:
        # As clients write it when they connect: in ASCII (IDNA).
        name = URL.build(scheme="https", host=host).raw_host or ""
    except ValueError:
        name = ""
    if _HOST.fullmatch(name) is None:
        raise ConfigurationError(f"{host!r} is neither the name of a host nor an address")
    return x509.DNSName(name)


def _now() -> datetime:
    return datetime.now(UTC)

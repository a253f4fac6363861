"""Certificates that no `artstore certs` would make: out of their term, of other authorities."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

DAY: Final = timedelta(days=1)


def write_certificate(
    directory: Path,
    name: str,
    *,
    valid_from: timedelta = -DAY,
    valid_until: timedelta = DAY,
    hosts: Sequence[str] = (),
    responder: str = "",
    damaged_names: bool = False,
) -> None:
    """``<name>.crt`` and ``<name>.key`` of the authority in ``directory``, with a term relative to now.

    ``responder`` is the URL at which OCSP tells whether it was revoked. ``damaged_names`` cannot be read,
    though everything around them can.
    """
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    signer = load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, RSAPrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    names = (
        x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x05\x00")
        if damaged_names
        else x509.SubjectAlternativeName([x509.DNSName(host) for host in (name, *hosts)])
    )
    responders = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) + valid_from)
        .not_valid_after(datetime.now(UTC) + valid_until)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(names, critical=False)
        .add_extension(responders, critical=False)
        .sign(signer, hashes.SHA256())
    )
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def write_list(directory: Path, *, valid_from: timedelta = -DAY, is_delta: bool = False) -> None:
    """The revocation list of the authority in ``directory``, which names nobody."""
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    signer = load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, RSAPrivateKey)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(datetime.now(UTC) + valid_from)
        .next_update(datetime.now(UTC) + 2 * DAY)
    )
    if is_delta:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    (directory / "crl.pem").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))


def encrypt_key(path: Path) -> None:
    """Give the private key in ``path`` a password."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def header_of(path: Path) -> str:
    """The certificate in ``path`` as RFC 9440 writes it."""
    der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    return f":{base64.b64encode(der).decode()}:"

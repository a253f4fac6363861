"""Who a client is by its certificate."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from cryptography import x509


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that proved, in a handshake with us or with a proxy we believe, who the client is."""

    der: bytes = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    names: frozenset[str]
    """The common name, and the alternative names that are names or addresses."""

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Of its bytes.

        Raises:
            ValueError: they are no certificate.
        """
        certificate = x509.load_der_x509_certificate(der)
        return cls(der, certificate, frozenset(_names(certificate)))

    def is_current(self) -> bool:
        """Whether it is within its term: a connection may outlive it."""
        now = datetime.now(UTC)
        return self.certificate.not_valid_before_utc <= now <= self.certificate.not_valid_after_utc


def _names(certificate: x509.Certificate) -> list[str]:
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    names = [str(attribute.value) for attribute in common]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [*names, *(str(name.value) for name in alternative if isinstance(name, kinds))]

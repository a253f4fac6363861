"""The ``[tls]`` section: whether and how connections are encrypted, and who may open one."""

import re
from typing import Annotated, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    model_validator,
)

from artstore.core.protection import Network

VerifyMode = Literal["none", "optional", "required"]
ProtocolVersion = Literal["1.2", "1.3"]
PEM_BEGIN: Final = "-----BEGIN "
LONGEST_PATH: Final = 4096
"""Characters (PATH_MAX of Linux)."""
ROLE_PLACEHOLDER: Final = "{role}"
"""In the name of a file: replaced by the name of the role, so that one section serves all of them."""

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


def is_pem(text: str) -> bool:
    """Whether ``text`` is the content of a file, not its path. Some tools write notes before it."""
    return PEM_BEGIN in text


def _pem_or_path(text: str) -> str:
    """Whatever else it is, such as a key in Base64 alone, must not be told as a path that is not there."""
    if not is_pem(text) and (not text or not text.isprintable() or len(text) > LONGEST_PATH):
        raise ValueError("should be PEM, or a path")
    return text


def _key(value: object) -> object:
    if isinstance(value, str):
        return _pem_or_path(value)
    if not (value is None or isinstance(value, SecretStr) or _is_reference(value)):
        raise ValueError('should be PEM, a path, or { secret = "NAME" }')
    return value


def _is_reference(value: object) -> bool:
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return list(table) == ["secret"] and isinstance(table["secret"], str)


PemOrPath = Annotated[str, AfterValidator(_pem_or_path)]
Key = Annotated[
    SecretStr | dict[Literal["secret"], StrictStr] | None,
    BeforeValidator(_key),
    Field(description='Its private key: PEM, a path, or `{ secret = "name" }`, looked up in the chain.'),
]


class ClientNameRule(BaseModel):
    """Whose certificate a client must have for some routes of a role."""

    model_config = _STRICT

    path: Annotated[
        str,
        AfterValidator(_pattern),
        Field(description="Regular expression that a whole route, as documented, must match."),
    ]
    names: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Names of which the certificate must have one: SAN or common name."),
    ]
    mode: Annotated[
        Literal["strict", "warn"], Field(description="`strict` refuses others with 403, `warn` logs them.")
    ] = "strict"


class ClientNames(BaseModel):
    """Rules of each role for the names of its clients. A client must satisfy all rules that match a route."""

    model_config = _STRICT

    admin: tuple[ClientNameRule, ...] = ()
    element: tuple[ClientNameRule, ...] = ()
    ingester: tuple[ClientNameRule, ...] = ()
    query: tuple[ClientNameRule, ...] = ()

    def of(self, role: str) -> tuple[ClientNameRule, ...]:
        """The rules of one role."""
        rules: tuple[ClientNameRule, ...] = getattr(self, role)
        return rules


class TlsSettings(BaseModel):
    """TLS of all roles, as servers and as clients. In files, `{role}` is the name of the role."""

    model_config = _STRICT

    enabled: Annotated[bool, Field(description="Serve HTTPS, and nothing else.")] = False
    cert_file: Annotated[
        PemOrPath | None, Field(description="Certificate of the server and its chain: PEM, or a path.")
    ] = None
    key_file: Key = None
    client_cert_file: Annotated[
        PemOrPath | None,
        Field(description="Certificate that the role presents to others it calls: PEM, or a path."),
    ] = None
    client_key_file: Key = None
    ca_cert_file: Annotated[
        PemOrPath | None,
        Field(
            description="Authorities that certificates of servers and clients must come from: PEM, or a "
            "path. Default: for servers those of the system."
        ),
    ] = None
    crl_file: Annotated[
        PemOrPath | None, Field(description="Revocation lists of these authorities: PEM, or a path.")
    ] = None
    protocol_version: Annotated[
        ProtocolVersion, Field(description="Lowest version that is spoken; 1.2 logs a warning.")
    ] = "1.3"
    ciphers: Annotated[
        tuple[str, ...],
        Field(
            description="The only cipher suites to use, by OpenSSL's names. Default: all authenticated "
            "ones (AEAD)."
        ),
    ] = ()
    verify_mode: Annotated[
        VerifyMode, Field(description="Whether clients present a certificate: not asked to, may, must.")
    ] = "none"
    client_names: ClientNames = ClientNames()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(
            description="Networks of proxies whose `Client-Cert` header (RFC 9440) is believed. Separate "
            "from `[server]`: a proxy that sets addresses may still pass this header through unchecked."
        ),
    ] = ()
    reload_interval: Annotated[
        float,
        Field(gt=0, le=3600, description="Seconds between checks of the files and secrets for changes."),
    ] = 5

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled and not (self.cert_file and self.key_file):
            raise ValueError("cert_file and key_file are required when TLS is enabled")
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file belong together")
        if self.verify_mode != "none" and self.ca_cert_file is None:
            raise ValueError(f'verify_mode = "{self.verify_mode}" needs ca_cert_file')
        if self.crl_file is not None and self.ca_cert_file is None:
            raise ValueError("crl_file needs ca_cert_file, which has the authorities that signed it")
        if self._has_rules() and self.verify_mode == "none" and not self.trusted_proxies:
            raise ValueError("client_names need a verify_mode other than none, or trusted_proxies")
        return self

    def _has_rules(self) -> bool:
        return any(self.client_names.of(role) for role in ClientNames.model_fields)

"""Settings of what protects every role's HTTP server: whom it believes, and how much it takes of whom."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


def _read_network(value: object) -> _Network:
    if not isinstance(value, str):
        raise ValueError("should be a network such as 10.0.0.0/8, or one address")
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"should be a network such as 10.0.0.0/8, or one address ({error})") from None


Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_read_network, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
]
"""Addresses in CIDR notation."""
LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class RateLimits(BaseModel):
    """How often credentials may be tried. The rate limit of an account is in its token."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    credentials: Annotated[
        int,
        Field(
            ge=0,
            description="Requests per minute from one address to operations that take credentials (tokens, "
            "login), right or wrong; 0: no limit.",
        ),
    ] = 600
    failures: Annotated[
        int,
        Field(
            ge=0,
            description="Wrong credentials per minute for one client id, from all addresses together; 0: no "
            "limit. Addresses from which the client authenticated within the last day are exempt.",
        ),
    ] = 10


class ConnectionLimits(BaseModel):
    """Limits for slow and idle connections."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    head_timeout: Annotated[
        float, Field(gt=0, description="Seconds from the first byte of a request to the end of its headers.")
    ] = 10
    idle_timeout: Annotated[
        float, Field(gt=0, description="Seconds that a connection may wait for its next request.")
    ] = 75
    send_timeout: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds without progress after which a response that the client does not read is "
            "abandoned.",
        ),
    ] = 120
    total: Annotated[
        int,
        Field(
            ge=0,
            description="Connections of one role in one process; any more are closed at once. The limit "
            "of open files applies in any case, and alone if this is 0.",
        ),
    ] = 10_000
    per_address: Annotated[
        int,
        Field(
            ge=0,
            description="Connections from one address (for IPv6, one /64 network), listed proxies "
            "excepted. 0: no limit.",
        ),
    ] = 0


@lru_cache(maxsize=1024)
def parse_address(text: str) -> Address | None:
    """``text`` as an address; one of IPv4 that is written as IPv6 is what it stands for."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_within(text: str, networks: Sequence[_Network]) -> bool:
    """Whether ``text`` is an address in one of ``networks``."""
    address = parse_address(text) if networks else None
    return address is not None and any(address in network for network in networks)


_SITE: Final = 64
"""Bits of an IPv6 address that name a site: whoever has one has all addresses below it."""


@lru_cache(maxsize=1024)
def address_group(text: str) -> str:
    """Whom an address stands for where clients are counted: itself, with IPv6 its network of 64 bits."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SITE), strict=False))
    return text if address is None else str(address)


ANY_ORIGIN: Final = "*"
_ORIGIN: Final = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)


def _check_origin(value: str) -> str:
    """As browsers send it (RFC 6454 section 6.2): they compare byte for byte.

    ``null`` is none: every sandboxed page and every local file has it.
    """
    if value == ANY_ORIGIN:
        return value
    if _ORIGIN.fullmatch(value) is None or value.endswith((":80", ":443")):
        raise ValueError(f"should be an origin such as https://archive.example, or {ANY_ORIGIN}")
    return value


class CorsSettings(BaseModel):
    """Which pages of other origins may call this cluster from a browser. Off unless origins are listed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    origins: Annotated[
        tuple[Annotated[str, AfterValidator(_check_origin)], ...],
        Field(description="Such as `https://archive.example`; `*` for all, which production refuses."),
    ] = ()
    allow_credentials: Annotated[
        bool,
        Field(description="Whether browsers may send cookies and certificates along; not with `*`."),
    ] = False
    headers: Annotated[
        tuple[str, ...],
        Field(description="Request headers that pages may send; `*` for all, which logs a warning."),
    ] = ("Content-Type", "Authorization", "X-Request-ID", "X-Trace-ID")
    max_age: Annotated[
        int, Field(ge=0, le=600, description="Seconds for which browsers may remember this.")
    ] = 600

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.allow_credentials and ANY_ORIGIN in self.origins:
            raise ValueError("allow_credentials needs origins that are listed, not *")
        return self

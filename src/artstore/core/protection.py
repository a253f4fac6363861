"""Settings of what protects every role's HTTP server: whom it believes, and how much it takes of whom."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

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


class RateLimits(BaseModel):
    """How often credentials may be tried. What an account may ask is said by its token."""

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
            "limit. Addresses where the client has proved itself within a day are not kept out.",
        ),
    ] = 10


def parse_address(text: str) -> Address | None:
    """``text`` as an address; one of IPv4 that is written as IPv6 is what it stands for."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


_SITE: Final = 64
"""Bits of an IPv6 address that name a site: whoever has one has all addresses below it."""


def address_group(text: str) -> str:
    """Whom an address stands for where clients are counted: itself, with IPv6 its network of 64 bits."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SITE), strict=False))
    return text if address is None else str(address)

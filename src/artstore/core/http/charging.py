"""Counts requests against the quotas of those who send them."""

from aiohttp import web

from artstore.core.http.addresses import client_address
from artstore.core.http.rates import RatePolicy
from artstore.core.keys import RATE, RATES, SETTINGS
from artstore.core.protection import address_group
from artstore.core.spec import Principal


async def charge(request: web.Request, policy: RatePolicy, key: str) -> None:
    """Count a request, and tell its client what is left.

    Raises:
        TooManyRequestsError: nothing is left.
    """
    limiter = request.app[RATES]
    rate = request[RATE] = await limiter.count(policy, key)
    if rate.is_exceeded:
        raise limiter.refuse(rate)


async def charge_credentials(request: web.Request) -> None:
    """Count a request that brings credentials against its address, before anybody looks at them.

    Raises:
        TooManyRequestsError: the address has sent too many.
    """
    if quota := request.app[SETTINGS].server.rate_limits.credentials:
        await charge(request, RatePolicy("address", quota), address_group(client_address(request)))


async def charge_principal(request: web.Request, principal: Principal) -> None:
    """Count a request against the quota that its sender's token carries, if it does.

    Raises:
        TooManyRequestsError: the quota of this minute is used up.
    """
    if principal.rate_limit is not None:
        await charge(request, RatePolicy("client", principal.rate_limit), principal.client_id)

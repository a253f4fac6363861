"""The issuer's keys: fetched when first needed, once however many wait, and kept through its outages."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from artstore.core.spec import PluginContext, UnauthenticatedError, UnavailableError
from artstore.plugins.auth_oauth.jwks import freshness_lifetime, read_jwk_set
from artstore.plugins.auth_oauth.plugin import OAuthConfig

LONGEST_LIFETIME: Final = 86_400.0
"""Seconds after which a key that was not confirmed is no longer used, issuer reachable or not."""

FAILURE_PAUSE: Final = 1.0
"""Seconds between a failed fetch and the next attempt."""

LARGEST_DOCUMENT: Final = 256 * 1024
"""Bytes; hundreds of keys."""


class UnusableAnswerError(Exception):
    """The issuer answered, but not with a JWK set."""


class IssuerKeys:
    """Public keys by ``kid``, from the JWK set of one issuer.

    Fresh keys answer at once. Keys past their lifetime are fetched again, and serve on for as long as
    the issuer cannot be reached (stale-if-error, RFC 5861), at most ``LONGEST_LIFETIME``.
    """

    def __init__(
        self,
        config: OAuthConfig,
        context: PluginContext,
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._session = session
        self._logger = context.logger
        self._count_fetch = context.metrics.counter(
            "jwks_fetches_total", "Fetches of the issuer's keys.", ["outcome"]
        )
        self._clock = clock
        self._document = b""
        self._keys: dict[str, RSAPublicKey] = {}
        self._fresh_until = self._usable_until = self._next_fetch = -math.inf
        self._failure: str | None = None
        self._fetch: asyncio.Task[None] | None = None

    @property
    def fresh_for(self) -> float:
        """Seconds for which what was decided with these keys needs no second look."""
        return max(0.0, self._fresh_until - self._clock())

    async def find(self, kid: str) -> RSAPublicKey:
        """The key named ``kid``.

        Raises:
            UnauthenticatedError: the issuer has no such key.
            UnavailableError: the issuer cannot be asked, and no answer of it is left.

        """
        key = self._usable(kid)
        if key is None or not self.fresh_for:
            # Whoever holds a stale key waits for a fresh one, but only until the issuer is known to be
            # down: an outage delays one moment's requests, not all of them.
            has_asked = await self._refresh(wait=key is None or self._failure is None)
            key = self._usable(kid)
            if has_asked and key is None and self._failure is None:
                # Anybody can make up the name of a key. One that is there takes the place of another that was
                # withdrawn, perhaps: it is found at once.
                self._next_fetch = self._clock() + self._config.refetch_cooldown
        if key is not None:
            return key
        if self._failure is not None:
            raise UnavailableError(
                "the token issuer cannot be reached, so the access token cannot be checked; try again",
                retry_after=FAILURE_PAUSE,
            )
        raise UnauthenticatedError(
            "the access token is signed with a key that the issuer is not known to publish; if the token is "
            "new, send it again in a few seconds, else request a new one"
        )

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._fetch

    def _usable(self, kid: str) -> RSAPublicKey | None:
        return self._keys.get(kid) if self._clock() < self._usable_until else None

    async def _refresh(self, *, wait: bool) -> bool:
        """Whether the issuer was asked for this caller."""
        asks = self._fetch is None and self._clock() >= self._next_fetch
        if asks:
            self._fetch = asyncio.create_task(self._fetch_keys())
        if self._fetch is not None and wait:
            # Shielded: a client that goes away must not take the fetch from the others.
            await asyncio.shield(self._fetch)
        return asks

    async def _fetch_keys(self) -> None:
        try:
            document, lifetime = await self._download()
            self._adopt(document, lifetime)
        except TimeoutError:
            self._fail(f"no answer within {self._config.timeout} s")
        except (aiohttp.ClientError, UnusableAnswerError) as error:
            self._fail(str(error))
        finally:
            self._fetch = None

    async def _download(self) -> tuple[bytes, float]:
        # An intermediate cache would give the keys of before a rotation again; redirections could lead
        # anywhere.
        async with self._session.get(
            self._config.key_set_url,
            headers={"Accept": "application/jwk-set+json, application/json", "Cache-Control": "no-cache"},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._config.timeout),
        ) as response:
            if response.status != 200:
                raise UnusableAnswerError(f"the issuer answered with status {response.status}")
            cache_control = response.headers.get("Cache-Control", "")
            lifetime = freshness_lifetime(cache_control, default=self._config.jwks_lifetime)
            return await _bounded_body(response), lifetime

    def _adopt(self, document: bytes, lifetime: float) -> None:
        if document != self._document:
            self._read(document)
        now = self._clock()
        self._fresh_until = now + max(self._config.refetch_cooldown, min(lifetime, LONGEST_LIFETIME))
        self._usable_until = now + LONGEST_LIFETIME
        self._failure = None
        self._count_fetch(outcome="success")

    def _read(self, document: bytes) -> None:
        try:
            keys, refusals = read_jwk_set(document)
        except ValueError:
            raise UnusableAnswerError("the issuer's answer is not a JWK set") from None
        self._document, self._keys = document, keys
        self._logger.info("jwks_changed", keys=sorted(keys))
        if refusals:
            self._logger.warning("jwks_keys_refused", refusals=refusals)

    def _fail(self, reason: str) -> None:
        self._next_fetch = self._clock() + FAILURE_PAUSE
        if reason != self._failure:
            self._logger.warning("jwks_fetch_failed", reason=reason, keys_kept=len(self._keys))
        self._failure = reason
        self._count_fetch(outcome="failure")


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_DOCUMENT:
            raise UnusableAnswerError(f"the issuer's answer is larger than {LARGEST_DOCUMENT} bytes")
    return bytes(body)

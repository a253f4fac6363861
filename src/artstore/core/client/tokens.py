"""Access tokens for calling other roles: cached, refreshed before they expire, one request at a time."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientSession,
    ClientTimeout,
    encode_basic_auth,
)
from pydantic import BaseModel, ValidationError

from artstore.core.spec import UnavailableError, UpstreamError

# Of the lifetime, kept as a margin before expiry, but at most five minutes (design: security.md).
_MARGIN_FRACTION: Final = 0.2
_MARGIN_LIMIT: Final = 300.0
_TIMEOUT: Final = ClientTimeout(total=10)


class TokenAnswer(BaseModel):
    """What the token endpoint answers (RFC 6749 section 5.1)."""

    access_token: str = field(repr=False)
    expires_in: float


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The identity of a service account. The secret has no repr."""

    client_id: str
    client_secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "ClientCredentials":
        """From ``client_id:client_secret``, as bootstrap writes it.

        Raises:
            ValueError: it is not of that form.
        """
        client_id, separator, client_secret = text.strip().partition(":")
        if not (client_id and separator and client_secret):
            raise ValueError("credentials are one line: client_id:client_secret")
        return cls(client_id, client_secret)

    def __str__(self) -> str:
        return self.client_id


GetCredentials = Callable[[], Awaitable[ClientCredentials]]
"""Looks the credentials up when a token is needed, so that a rotated secret is picked up."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    refresh_at: float
    expires_at: float


class TokenSource:
    """Gives the current access token of one service account."""

    def __init__(self, session: ClientSession, *, token_url: str, credentials: GetCredentials) -> None:
        self._session = session
        self._token_url = token_url
        self._credentials = credentials
        self._token: _Token | None = None
        self._refresh: asyncio.Task[_Token] | None = None

    async def get(self) -> str:
        """A token that holds. Near its end it is refreshed in the background.

        Raises:
            UnavailableError: the issuer cannot be reached, or our credentials are not there yet, and no
                token is left.
            UpstreamError: the issuer refuses us or answers garbage.
        """
        now = time.monotonic()
        token = self._token
        if token is not None and now < token.refresh_at:
            return token.value
        refresh = self._start_refresh()
        if token is not None and now < token.expires_at:
            return token.value
        # Shielded: one caller that gives up must not take the token away from all the others.
        return (await asyncio.shield(refresh)).value

    def forget(self, value: str) -> None:
        """``value`` was refused: do not give it again."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def close(self) -> None:
        """Stop a refresh that is under way."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _start_refresh(self) -> asyncio.Task[_Token]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._fetch())
            # A failed background refresh is retried by the next caller; nobody else awaits it.
            self._refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refresh

    async def _fetch(self) -> _Token:
        started = time.monotonic()
        credentials = await self._credentials()
        headers = {"Authorization": encode_basic_auth(credentials.client_id, credentials.client_secret)}
        form = {"grant_type": "client_credentials"}
        try:
            async with self._session.post(
                self._token_url, data=form, headers=headers, timeout=_TIMEOUT
            ) as response:
                body = await response.read()
        except (ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the token endpoint cannot be reached ({failure_of(error)})") from error
        if response.status >= 500 or response.status == 429:
            raise UnavailableError(f"the token endpoint answered {response.status}")
        if response.status != 200:
            raise UpstreamError(f"the token endpoint refused our credentials ({response.status})")
        self._token = _parse(body, started)
        return self._token


def failure_of(error: Exception) -> str:
    """Why a connection failed: of a certificate, theirs or ours, also what it lacks."""
    if isinstance(error, ClientConnectorCertificateError):
        return getattr(error.certificate_error, "verify_message", None) or "its certificate is not valid"
    if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason is not None:
        return error.__cause__.reason.replace("_", " ").lower()
    return type(error).__name__


def _parse(body: bytes, started: float) -> _Token:
    try:
        answer = TokenAnswer.model_validate_json(body)
    except ValidationError:
        raise UpstreamError("the token endpoint answered something that is not a token") from None
    margin = min(_MARGIN_LIMIT, answer.expires_in * _MARGIN_FRACTION)
    expires_at = started + answer.expires_in
    return _Token(answer.access_token, refresh_at=expires_at - margin, expires_at=expires_at)

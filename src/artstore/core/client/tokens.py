"""Access tokens for calling other roles: cached, refreshed before they expire, one request at a time."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    encode_basic_auth,
)
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from artstore.core.client.bodies import bounded_body
from artstore.core.client.breaker import Breaker
from artstore.core.client.errors import (
    AuthenticationError,
    IssuerAnswerError,
    IssuerRefusedError,
    IssuerUnreachableError,
)
from artstore.core.client.token_metrics import TokenMetrics, TokenState, Trigger
from artstore.core.http.problems import retry_after

# Of the lifetime, kept as a margin before expiry, but at most five minutes (design: security.md).
_MARGIN_FRACTION: Final = 0.2
_MARGIN_LIMIT: Final = 300.0
_TIMEOUT: Final = ClientTimeout(total=10)
MAX_ANSWER_SIZE: Final = 64 * 1024
"""Bytes of a token endpoint's answer."""


class TokenAnswer(BaseModel):
    """What the token endpoint answers (RFC 6749 section 5.1)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    # Whatever else is in it would end up in a header.
    access_token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~+/-]+=*$")] = Field(repr=False)
    token_type: Annotated[str, StringConstraints(pattern=r"^(?i:bearer)$")]
    expires_in: Annotated[float, Field(gt=0, allow_inf_nan=False)]


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


class AccessTokens(Protocol):
    """Where a client gets the access token from that it sends."""

    async def get(self) -> str:
        """A token that holds.

        Raises:
            ArtStoreError: there is none, and why.
        """
        ...

    def forget(self, value: str) -> None:
        """``value`` was refused: do not give it again."""
        ...

    async def close(self) -> None:
        """Stop whatever is under way."""
        ...


class TokenSource(AccessTokens):
    """Gives the current access token of one service account."""

    def __init__(
        self,
        session: ClientSession,
        *,
        token_url: str,
        credentials: GetCredentials,
        metrics: TokenMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._token_url = token_url
        self._credentials = credentials
        self._metrics = metrics
        self._clock = clock
        self._breaker = Breaker()
        self._token: _Token | None = None
        self._was_refused = False
        self._refresh: asyncio.Task[_Token] | None = None
        metrics.watch(self._seconds_left)

    async def get(self) -> str:
        """A token that holds. Near its end it is refreshed in the background.

        Raises:
            AuthenticationError: no token is left, and there is no other; its subclasses say why.
            UnavailableError: the same, because our credentials are not there yet.
        """
        with self._metrics.acquisition():
            token, state = self._token, self._state()
            self._metrics.validated(state)
            if state == "valid" and token is not None:
                self._metrics.given("cache")
                return token.value
            refresh = self._start_refresh()
            if state == "expiring_soon" and token is not None:
                self._metrics.given("cache")
                return token.value
            # Shielded: one caller that gives up must not take the token away from all the others.
            value = (await asyncio.shield(refresh)).value
            self._metrics.given("fresh_request")
            return value

    def forget(self, value: str) -> None:
        """``value`` was refused: do not give it again."""
        if self._token is not None and self._token.value == value:
            self._token = None
            self._was_refused = True

    async def close(self) -> None:
        """Stop a refresh that is under way."""
        self._token = None
        self._metrics.reset()
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _state(self) -> TokenState:
        now, token = self._clock(), self._token
        if token is None:
            return "missing"
        if now >= token.expires_at:
            return "expired"
        return "valid" if now < token.refresh_at else "expiring_soon"

    def _seconds_left(self) -> float:
        return 0.0 if self._token is None else max(0.0, self._token.expires_at - self._clock())

    def _start_refresh(self) -> asyncio.Task[_Token]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._measured(self._trigger()))
            # A failed background refresh is retried by the next caller; nobody else awaits it.
            self._refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refresh

    def _trigger(self) -> Trigger:
        if self._was_refused:
            self._was_refused = False
            return "manual"
        return "expiring_soon" if self._state() == "expiring_soon" else "expired"

    async def _measured(self, trigger: Trigger) -> _Token:
        with self._metrics.refresh(trigger):
            self._token = await self._fetch()
        return self._token

    async def _fetch(self) -> _Token:
        credentials = await self._credentials()
        if not await self._breaker.may_try_within():
            raise IssuerUnreachableError("the token endpoint does not answer; it is left alone for a moment")
        try:
            token = await self._request(credentials)
        except IssuerUnreachableError:
            self._breaker.note_failure()
            raise
        except AuthenticationError:
            # It answers, be it ever so wrong.
            self._breaker.note_success()
            raise
        except BaseException:
            self._breaker.give_up()
            raise
        self._breaker.note_success()
        return token

    async def _request(self, credentials: ClientCredentials) -> _Token:
        started = self._clock()
        headers = {"Authorization": encode_basic_auth(credentials.client_id, credentials.client_secret)}
        form = {"grant_type": "client_credentials"}
        try:
            # Never redirected: whoever could redirect us would be sent our secret.
            async with self._session.post(
                self._token_url, data=form, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                body = await bounded_body(response, limit=MAX_ANSWER_SIZE)
        except (ClientError, TimeoutError, OSError) as error:
            raise IssuerUnreachableError(
                f"the token endpoint cannot be reached ({failure_of(error)})"
            ) from error
        if body is None:
            raise IssuerAnswerError(f"the token endpoint answered more than {MAX_ANSWER_SIZE} bytes")
        _check_status(response)
        return _parse(body, started)


def failure_of(error: Exception) -> str:
    """Why a connection failed: of a certificate, theirs or ours, also what it lacks."""
    if isinstance(error, ClientConnectorCertificateError):
        return getattr(error.certificate_error, "verify_message", None) or "its certificate is not valid"
    if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason:
        return error.__cause__.reason.replace("_", " ").lower()
    return type(error).__name__


def _check_status(response: ClientResponse) -> None:
    if response.status >= 500 or response.status == 429:
        raise IssuerUnreachableError(
            f"the token endpoint answered {response.status}", retry_after=retry_after(response.headers)
        )
    if response.status != 200:
        raise IssuerRefusedError(f"the token endpoint refused our credentials ({response.status})")


def _parse(body: bytes, started: float) -> _Token:
    try:
        answer = TokenAnswer.model_validate_json(body)
    except ValidationError:
        raise IssuerAnswerError("the token endpoint answered something that is not a token") from None
    margin = min(_MARGIN_LIMIT, answer.expires_in * _MARGIN_FRACTION)
    expires_at = started + answer.expires_in
    return _Token(answer.access_token, refresh_at=expires_at - margin, expires_at=expires_at)

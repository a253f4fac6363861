"""The client with which one role calls another: pooled, authenticated, with deadlines and one retry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Final, TypeVar

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    TraceConfig,
)
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError
from structlog.contextvars import get_contextvars

from artstore import __version__
from artstore.core.client.bodies import MakeStream, Stream, bounded_body, problem_body
from artstore.core.client.deadlines import deadline_headers, time_left
from artstore.core.client.errors import IssuerUnreachableError
from artstore.core.client.metrics import ClientMetrics
from artstore.core.client.networks import Reach, guarded_sockets
from artstore.core.client.targets import Targets
from artstore.core.client.tokens import AccessTokens, GetCredentials, TokenSource, failure_of
from artstore.core.http.problems import remote_error
from artstore.core.protection import Network
from artstore.core.spec import ArtStoreError, UnavailableError, UpstreamError
from artstore.core.tls.endpoint import TlsEndpoint

M = TypeVar("M", bound=BaseModel)
MakeTokens = Callable[[ClientSession, ClientMetrics], AccessTokens]
"""Makes what gives a client its tokens, from what the client has open."""

CONNECT_TIMEOUT: Final = 5.0
DEFAULT_DEADLINE: Final = 15.0
READ_BUFFER: Final = 256 * 1024
LARGEST_ANSWER: Final = 256 * 1024 * 1024
"""Bytes of what is read as a whole; the longest is a page of a journal with the largest sidecars."""
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
ATTEMPTS: Final = 3
"""For one idempotent call. In each, aiohttp itself repeats at once, once, what a peer broke off."""
BACK_OFF: Final = 0.05
"""Seconds before the first repetition, at most; before the next, twice as many."""
_TOO_LATE: Final = "another role did not answer in time"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, before it is known with which token it is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    data: bytes | Stream | MakeStream | None
    stall_timeout: float | None
    until: float | None
    """When, by the monotonic clock, nobody waits for the answer's beginning any more."""
    is_hurried: bool
    """Whether that is because of whoever waits for us, and not by our own choice."""

    @property
    def left(self) -> float | None:
        """Seconds for which the answer is waited for."""
        return None if self.until is None else max(0.0, self.until - monotonic())

    @property
    def is_stream(self) -> bool:
        return not (self.data is None or isinstance(self.data, bytes))

    @property
    def may_be_sent_again(self) -> bool:
        return not (isinstance(self.data, Stream) and self.data.is_begun)

    @property
    def is_idempotent(self) -> bool:
        return self.method in IDEMPOTENT and not self.is_stream

    def body(self) -> bytes | AsyncIterable[bytes] | None:
        """What is sent, from the beginning."""
        return self.data() if callable(self.data) else self.data


class RoleClient:
    """Calls other roles as one service account."""

    def __init__(
        self,
        choose_session: Callable[[str], ClientSession],
        tokens: AccessTokens,
        metrics: ClientMetrics,
        *,
        is_role: bool = True,
    ) -> None:
        self._session_for = choose_session
        self.tokens = tokens
        self._metrics = metrics
        self._targets = Targets(metrics.left_alone)
        self._is_role = is_role

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        deadline: float | None = DEFAULT_DEADLINE,
        stall_timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | AsyncIterable[bytes] | MakeStream | None = None,
        json: BaseModel | None = None,
        accept_statuses: frozenset[int] = frozenset(),
    ) -> AsyncGenerator[ClientResponse, None]:
        """Send one request; the answer's body is read inside the context.

        A 401 is answered with a fresh token, once, unless ``data`` is a stream that has begun, which cannot
        be sent twice: who has the bytes gives what makes the stream, and who has not sends them after ``100
        Continue``. What is idempotent and no stream is sent again when the connection breaks. Who does not
        answer is left alone for a moment.

        ``deadline`` is in seconds for everything up to the answer's headers; ``None`` for streams, whose
        senders watch for stalls themselves. ``stall_timeout`` is in seconds that may pass without a byte of
        the answer while there is room for one.

        Raises:
            UnavailableError: no connection, no answer before the deadline, or nobody waits for it any more.
            AuthenticationError: we get no token.
            RemoteError: a 4xx or 507 problem about this request, unless in ``accept_statuses``.
            UpstreamError: the other role failed, refuses our credentials or speaks no HTTP we know.
        """
        if json is not None:
            data = json.model_dump_json(exclude_none=True).encode()
            headers = {**(headers or {}), "Content-Type": "application/json"}
        left = time_left(deadline)
        until = None if left is None else monotonic() + left
        body = data if data is None or isinstance(data, bytes) or callable(data) else Stream(data)
        call = _Call(method, url, headers or {}, body, stall_timeout, until, is_hurried=left != deadline)
        response = await self._send(call)
        if response.status == 401 and call.may_be_sent_again:
            response.release()
            response = await self._send(call)
        try:
            if response.status >= 400 and response.status not in accept_statuses:
                raise await self._error(call, response)
            yield response
        except ClientError as error:
            raise UpstreamError(f"the connection to another role broke ({type(error).__name__})") from error
        finally:
            # A body that was not read to its end cannot be followed by another answer.
            response.close() if not response.content.at_eof() else response.release()

    async def get(self, url: str, model: type[M], *, deadline: float | None = DEFAULT_DEADLINE) -> M:
        """GET ``url`` as ``model``, all of it within ``deadline`` seconds."""
        return parse(model, await self._read("GET", url, deadline, json=None))

    async def post(self, url: str, body: BaseModel, *, deadline: float = DEFAULT_DEADLINE) -> bytes:
        """POST ``body`` as JSON; the answer's body, all of it within ``deadline`` seconds."""
        return await self._read("POST", url, deadline, json=body)

    async def _read(self, method: str, url: str, deadline: float | None, *, json: BaseModel | None) -> bytes:
        left = time_left(deadline)
        until = None if left is None else asyncio.get_running_loop().time() + left
        try:
            async with (
                self.request(method, url, deadline=left, json=json) as response,
                asyncio.timeout_at(until),
            ):
                body = await bounded_body(response, limit=LARGEST_ANSWER)
        except TimeoutError as error:
            raise UnavailableError(_TOO_LATE) from error
        if body is None:
            raise UpstreamError(f"another role answered more than {LARGEST_ANSWER} bytes")
        return body

    async def _error(self, call: _Call, response: ClientResponse) -> ArtStoreError:
        try:
            async with asyncio.timeout(call.left):
                body = await problem_body(response)
        except TimeoutError:
            return UnavailableError(_TOO_LATE)
        return remote_error(response.status, body, response.headers, is_role=self._is_role)

    async def _send(self, call: _Call) -> ClientResponse:
        """Send until there is an answer, or nothing more to try. Callers wait no longer than asked."""
        token = await self._token(call.left)
        may_break_off = call.is_stream or call.is_hurried
        async with self._targets.called(call.url, may_break_off=may_break_off, left=call.left):
            try:
                async with asyncio.timeout(call.left):
                    return await self._send_again(call, token)
            except TimeoutError as error:
                raise UnavailableError(_TOO_LATE) from error
            except (ClientError, OSError) as error:
                raise UnavailableError(f"another role cannot be reached ({failure_of(error)})") from error

    async def _token(self, left: float | None) -> str:
        """What the call is sent with. That there is none is no failure of the target, which is not called."""
        try:
            async with asyncio.timeout(left):
                return await self.tokens.get()
        except TimeoutError:
            raise IssuerUnreachableError("the token endpoint did not answer in time") from None

    async def _send_again(self, call: _Call, token: str) -> ClientResponse:
        """Repeat what can be repeated without harm if the connection breaks (RFC 9110 section 9.2.2)."""
        for attempt in range(ATTEMPTS - 1 if call.is_idempotent else 0):
            try:
                return await self._send_once(call, token)
            except (ClientConnectionError, OSError):
                self._metrics.retries.inc()
                # Full jitter: those whom one failure hit together do not come back together.
                await asyncio.sleep(uniform(0, BACK_OFF * 2**attempt))  # noqa: S311 - guards nothing
        return await self._send_once(call, token)

    async def _send_once(self, call: _Call, token: str) -> ClientResponse:
        sent = {**deadline_headers(call.left), **call.headers, "Authorization": f"Bearer {token}"}
        if (request_id := get_contextvars().get("request_id")) is not None:
            sent["X-Request-ID"] = request_id
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=call.stall_timeout)
        response = await self._session_for(call.url).request(
            call.method, call.url, headers=sent, data=call.body(), timeout=timeout, allow_redirects=False
        )
        if response.status == 401:
            self.tokens.forget(token)
        return response


@asynccontextmanager
async def open_role_client(
    *,
    token_url: str,
    credentials: GetCredentials,
    registry: CollectorRegistry | None = None,
    is_role: bool = True,
    tls: TlsEndpoint | None = None,
    reach: Reach | None = None,
) -> AsyncGenerator[RoleClient, None]:
    """Hold a pooled client of a service account open. Does no I/O before the first call."""

    def tokens(session: ClientSession, metrics: ClientMetrics) -> AccessTokens:
        return TokenSource(session, token_url=token_url, credentials=credentials, metrics=metrics.tokens)

    async with open_client(
        tokens, token_url=token_url, registry=registry, is_role=is_role, tls=tls, reach=reach
    ) as client:
        yield client


@asynccontextmanager
async def open_client(
    make_tokens: MakeTokens,
    *,
    token_url: str,
    registry: CollectorRegistry | None = None,
    is_role: bool,
    tls: TlsEndpoint | None = None,
    reach: Reach | None = None,
) -> AsyncGenerator[RoleClient, None]:
    """Hold a pooled client open, whatever gives it its tokens. Does no I/O before the first call.

    Who is no role but a person (``is_role=False``) is told what they may not do. What is measured is
    registered in ``registry``; without one, nobody looks at it. ``reach`` keeps it out of networks where it
    has nothing to do.
    """
    metrics = ClientMetrics(registry or CollectorRegistry(), token_url=token_url)
    networks = () if reach is None else reach.networks
    async with open_session(tls) as session, open_session(tls, networks=networks) as guarded:

        def choose(url: str) -> ClientSession:
            return session if reach is None or reach.is_configured(url) else guarded

        tokens = make_tokens(session, metrics)
        try:
            yield RoleClient(choose, tokens, metrics, is_role=is_role)
        finally:
            await tokens.close()


def open_session(
    tls: TlsEndpoint | None = None, *, networks: Sequence[Network] | None = None
) -> ClientSession:
    """A pool of connections to roles: to anywhere, or to public addresses and to ``networks``.

    Without ``tls``, ``https`` is trusted by the system's authorities.
    """
    return ClientSession(
        connector=TCPConnector(
            limit=0,
            keepalive_timeout=30,
            ssl=True if tls is None else tls.client,
            socket_factory=None if networks is None else guarded_sockets(networks),
        ),
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        headers={"User-Agent": f"artstore/{__version__}"},
        trace_configs=[] if tls is None or not tls.settings.enabled else [_counting_reuse(tls)],
    )


def parse(model: type[M], body: bytes) -> M:
    """Another role's answer as ``model``.

    Raises:
        UpstreamError: it is something else.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise UpstreamError(f"another role answered something that is not a {model.__name__}") from None


def _counting_reuse(tls: TlsEndpoint) -> TraceConfig:
    async def reused(*_: object) -> None:
        tls.metrics.used(reused=True)

    async def made(*_: object) -> None:
        tls.metrics.used(reused=False)

    tracing = TraceConfig()
    tracing.on_connection_reuseconn.append(reused)
    tracing.on_connection_create_end.append(made)
    return tracing

"""The client with which one role calls another: pooled, authenticated, with deadlines and one retry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    TraceConfig,
)
from pydantic import BaseModel, ValidationError
from structlog.contextvars import get_contextvars

from artstore import __version__
from artstore.core.client.tokens import GetCredentials, TokenSource, failure_of
from artstore.core.http.problems import remote_error
from artstore.core.spec import UnavailableError, UpstreamError
from artstore.core.tls.endpoint import TlsEndpoint

M = TypeVar("M", bound=BaseModel)

CONNECT_TIMEOUT: Final = 5.0
DEFAULT_DEADLINE: Final = 15.0
READ_BUFFER: Final = 256 * 1024


class RoleClient:
    """Calls other roles as one service account."""

    def __init__(self, session: ClientSession, tokens: TokenSource, *, is_role: bool = True) -> None:
        self._session = session
        self._tokens = tokens
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
        data: bytes | AsyncIterable[bytes] | None = None,
        json: BaseModel | None = None,
        accept_statuses: frozenset[int] = frozenset(),
    ) -> AsyncGenerator[ClientResponse, None]:
        """Send one request; the answer's body is read inside the context.

        A 401 is answered with a fresh token, once, unless ``data`` is a stream, which cannot be sent
        twice. ``deadline`` is in seconds for everything up to the answer's headers; ``None`` for
        streams, whose senders watch for stalls themselves. ``stall_timeout`` is in seconds that may
        pass without a byte of the answer while there is room for one.

        Raises:
            UnavailableError: no connection, or no answer before the deadline.
            RemoteError: a 4xx or 507 problem about this request, unless in ``accept_statuses``.
            UpstreamError: the other role failed, refuses our credentials or speaks no HTTP we know.
        """
        if json is not None:
            data = json.model_dump_json(exclude_none=True).encode()
            headers = {**(headers or {}), "Content-Type": "application/json"}
        can_repeat = data is None or isinstance(data, bytes)
        response = await self._send(method, url, deadline, stall_timeout, headers, data)
        if response.status == 401 and can_repeat:
            response.release()
            response = await self._send(method, url, deadline, stall_timeout, headers, data)
        try:
            if response.status >= 400 and response.status not in accept_statuses:
                raise remote_error(
                    response.status, await response.read(), response.headers, is_role=self._is_role
                )
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
        try:
            async with (
                asyncio.timeout(deadline),
                self.request(method, url, deadline=None, json=json) as response,
            ):
                return await response.read()
        except TimeoutError:
            raise UnavailableError(f"another role did not answer within {deadline} seconds") from None

    async def _send(
        self,
        method: str,
        url: str,
        deadline: float | None,
        stall_timeout: float | None,
        headers: Mapping[str, str] | None,
        data: bytes | AsyncIterable[bytes] | None,
    ) -> ClientResponse:
        token = await self._tokens.get()
        sent = {**(headers or {}), "Authorization": f"Bearer {token}"}
        if (request_id := get_contextvars().get("request_id")) is not None:
            sent["X-Request-ID"] = request_id
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=stall_timeout)
        try:
            async with asyncio.timeout(deadline):
                response = await self._session.request(
                    method, url, headers=sent, data=data, timeout=timeout, allow_redirects=False
                )
        except (ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"another role cannot be reached ({failure_of(error)})") from error
        if response.status == 401:
            self._tokens.forget(token)
        return response


@asynccontextmanager
async def open_role_client(
    *, token_url: str, credentials: GetCredentials, is_role: bool = True, tls: TlsEndpoint | None = None
) -> AsyncGenerator[RoleClient, None]:
    """Hold a pooled client open. Does no I/O before the first call.

    Who is no role but a person (``is_role=False``) is told what they may not do. Without ``tls``, an
    ``https`` URL is trusted by the system's authorities.
    """
    connector = TCPConnector(limit=0, keepalive_timeout=30, ssl=True if tls is None else tls.client)
    async with ClientSession(
        connector=connector,
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        headers={"User-Agent": f"artstore/{__version__}"},
        trace_configs=[] if tls is None or not tls.settings.enabled else [_counting_reuse(tls)],
    ) as session:
        tokens = TokenSource(session, token_url=token_url, credentials=credentials)
        try:
            yield RoleClient(session, tokens, is_role=is_role)
        finally:
            await tokens.close()


def _counting_reuse(tls: TlsEndpoint) -> TraceConfig:
    async def reused(*_: object) -> None:
        tls.metrics.used(reused=True)

    async def made(*_: object) -> None:
        tls.metrics.used(reused=False)

    tracing = TraceConfig()
    tracing.on_connection_reuseconn.append(reused)
    tracing.on_connection_create_end.append(made)
    return tracing


def parse(model: type[M], body: bytes) -> M:
    """Another role's answer as ``model``.

    Raises:
        UpstreamError: it is something else.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise UpstreamError(f"another role answered something that is not a {model.__name__}") from None

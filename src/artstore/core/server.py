"""Runs applications until a signal comes, then lets running requests finish."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from artstore.core.config import RoleName, ServerSettings
from artstore.core.http.accepting import stop_accepting
from artstore.core.http.connections import room_for_connections
from artstore.core.http.protocol import HANDLER_OPTIONS, Protocol
from artstore.core.keys import CONNECTIONS, RUNNING, STOPPING, TLS
from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError

ANSWER_TIMEOUT: Final = 2.0
"""Seconds in which answers go out whose requests have ended, and others are broken off."""
HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds in which a client has to prove that it speaks TLS."""
COLLECTION_THRESHOLD: Final = 5_000
"""Containers made and not freed, after which the youngest are looked at. The interpreter's own is 700."""
_log = get_logger("server")


@dataclass(frozen=True, slots=True)
class Listener:
    """One application and the address it listens on."""

    role: RoleName
    app: web.Application
    host: str
    port: int
    reuse_port: bool = False


async def serve(
    listeners: Sequence[Listener], *, settings: ServerSettings, on_ready: Callable[[], None] | None = None
) -> None:
    """Start every application in order, serve until SIGTERM, SIGINT or SIGHUP, then stop in reverse order.

    Stopping means: no new connections, running requests finish within the shutdown time-out,
    resources close. A signal during the start ends it just as cleanly.

    Raises:
        ConfigurationError: an application cannot start, or its port is taken.
    """
    async with AsyncExitStack() as stack:
        stopping = stack.enter_context(_StopSignal())
        _leave_room(listeners)
        # Every address is taken before anything is opened: a second start must not touch the first's data.
        servers = [await stack.enter_async_context(bound(listener)) for listener in listeners]
        for server in servers:
            stack.push_async_callback(server.stop, grace_period=settings.shutdown_timeout)
            await server.start()
        _exempt_what_is_there()
        if on_ready is not None:
            on_ready()
        await stopping.wait()
        _log.info("server_stopping", shutdown_timeout=settings.shutdown_timeout)
        for listener in listeners:
            listener.app[STOPPING].set()


class AppServer:
    """An application that has its address."""

    def __init__(self, listener: Listener, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._listener = listener
        self._runner = runner
        self._server = server

    @property
    def port(self) -> int:
        """The port, also where the kernel chose it."""
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Open the application's resources, then listen.

        Raises:
            ConfigurationError: a resource cannot be opened, or somebody else listens by now.
        """
        await self._runner.setup()
        with _naming(self._listener):
            await self._server.start_serving()
        _log.info("role_started", role=self._listener.role, address=f"{self._listener.host}:{self.port}")

    async def stop(self, *, grace_period: float) -> None:
        """Refuse connections, wait up to ``grace_period`` seconds for running requests, close.

        Nothing is connected when it returns.

        The waiting is ours: aiohttp, when it shuts down, drops the rest of every body that is coming in.
        """
        await stop_accepting(self._server.sockets)
        self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_period):
                await self._listener.app[RUNNING].wait_for_end()
        connections = self._listener.app[CONNECTIONS]
        # A connection that was accepted in time, but is made after aiohttp has closed those it knew.
        connections.cap(0)
        await self._runner.cleanup()
        await connections.end(ANSWER_TIMEOUT)


@asynccontextmanager
async def bound(listener: Listener) -> AsyncGenerator[AppServer, None]:
    """Take the address of ``listener``, without listening there before the server is started.

    Raises:
        ConfigurationError: the address cannot be taken.
    """
    loop = asyncio.get_running_loop()
    connections = listener.app[CONNECTIONS]
    options: dict[str, Any] = {**HANDLER_OPTIONS, "keepalive_timeout": connections.limits.idle_timeout}
    runner = web.AppRunner(listener.app, shutdown_timeout=ANSWER_TIMEOUT, **options)

    def connection() -> Protocol:
        assert runner.server is not None, "the runner is set up before the server starts"
        return Protocol(runner.server, connections, loop=loop, **options)

    context = listener.app[TLS].server
    with _naming(listener):
        server = await loop.create_server(
            connection,
            listener.host,
            listener.port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT if context else None,
            backlog=1024,
            reuse_port=listener.reuse_port or None,
            start_serving=False,
        )
    try:
        yield AppServer(listener, runner, server)
    finally:
        server.close()


def _leave_room(listeners: Sequence[Listener]) -> None:
    """Clients must not take all the files that this process may open."""
    most = room_for_connections(len(listeners))
    for listener in listeners:
        if listener.app[CONNECTIONS].cap(most):
            _log.info("connections_limited", role=listener.role, most=most, by="the limit of open files")


def _exempt_what_is_there() -> None:
    """Keep the garbage collector from what lives as long as the process, and let it look less often.

    Measured: it took 8 % of the processor time of small uploads, nearly all of it for modules and models,
    of which there are a hundred thousand objects and never any garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTION_THRESHOLD, 20, 20)


@contextmanager
def _naming(listener: Listener) -> Generator[None, None, None]:
    """Say which role and address an error of the socket is about."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{listener.role} cannot listen on {listener.host}:{listener.port}: {_reason(error)}; "
            f"stop what uses it or choose another port"
        ) from error


def _reason(error: OSError) -> str:
    """What went wrong, without the address, which asyncio repeats in its message."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


def stop_signals() -> list[signal.Signals]:
    """What asks a server to stop: also that its terminal is closed, unless ``nohup`` has it ignore that."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if is_ignored else [signal.SIGHUP])]


class _StopSignal:
    """Waits for one of the signals that ask to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._numbers = stop_signals()

    def __enter__(self) -> "_StopSignal":
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._event.set)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in self._numbers:
            self._loop.remove_signal_handler(number)

    async def wait(self) -> None:
        await self._event.wait()

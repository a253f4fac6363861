"""Runs applications until a signal comes, then lets running requests finish."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from artstore.core.config import RoleName, ServerSettings
from artstore.core.keys import RUNNING, STOPPING
from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError

READ_BUFFER: Final = 256 * 1024
MAX_HEADER_SIZE: Final = 16 * 1024
"""Bytes of one request header: ``Artstore-Attributes`` may have 8 KiB, an access token a few."""
ANSWER_TIMEOUT: Final = 2.0
"""Seconds in which answers go out whose requests have ended, and others are broken off."""
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
    """Start every application in order, serve until SIGTERM or SIGINT, then stop in reverse order.

    Stopping means: no new connections, running requests finish within the shutdown time-out,
    resources close. A signal during the start ends it just as cleanly.

    Raises:
        ConfigurationError: an application cannot start, or its port is taken.
    """
    async with AsyncExitStack() as stack:
        stopping = stack.enter_context(_StopSignal())
        # Every address is taken before anything is opened: a second start must not touch the first's data.
        bound = [await _bind(listener, stack) for listener in listeners]
        for running in bound:
            stack.push_async_callback(_stop, running, settings)
            await running.runner.setup()
            await running.start()
        if on_ready is not None:
            on_ready()
        await stopping.wait()
        _log.info("server_stopping", shutdown_timeout=settings.shutdown_timeout)
        for listener in listeners:
            listener.app[STOPPING].set()


@dataclass(frozen=True, slots=True)
class _Bound:
    """A listener that has its address, and does not listen there before it is started."""

    listener: Listener
    runner: web.AppRunner
    server: asyncio.Server

    async def start(self) -> None:
        with _naming(self.listener):
            await self.server.start_serving()
        _log.info(
            "role_started", role=self.listener.role, address=f"{self.listener.host}:{self.listener.port}"
        )


async def _bind(listener: Listener, stack: AsyncExitStack) -> _Bound:
    runner = _runner(listener)

    def answer() -> asyncio.Protocol:
        # The runner has its server only once it is set up.
        server = runner.server
        assert server is not None
        return server()

    with _naming(listener):
        server = await asyncio.get_running_loop().create_server(
            answer,
            listener.host,
            listener.port,
            backlog=1024,
            reuse_port=listener.reuse_port or None,
            start_serving=False,
        )
    stack.callback(server.close)
    return _Bound(listener, runner, server)


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


async def _stop(running: _Bound, settings: ServerSettings) -> None:
    """Refuse connections, wait for running requests, close.

    The waiting is ours: aiohttp, when it shuts down, drops the rest of every body that is coming in.
    """
    running.server.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.shutdown_timeout):
            await running.listener.app[RUNNING].wait_for_end()
    await running.runner.cleanup()


class _StopSignal:
    """Waits for SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> "_StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._event.set)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(number)

    async def wait(self) -> None:
        await self._event.wait()


def _runner(listener: Listener) -> web.AppRunner:
    return web.AppRunner(
        listener.app,
        access_log=None,
        shutdown_timeout=ANSWER_TIMEOUT,
        read_bufsize=READ_BUFFER,
        max_field_size=MAX_HEADER_SIZE,
        auto_decompress=False,
    )

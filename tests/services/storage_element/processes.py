"""An element in a process of its own, that a test may kill."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import ClientSession

from tests.forked import UNMEASURED
from tests.services.storage_element.harness import ElementClient


class ElementProcess:
    """A running element; ``client`` speaks to it."""

    def __init__(self, process: Process, client: ElementClient) -> None:
        self.client = client
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        await self._process.wait()

    def pause(self) -> None:
        """Let it do nothing until it is told to go on."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """Let it stop; its exit code."""
        self._process.terminate()
        return await self._process.wait()


@asynccontextmanager
async def element_process(
    data: Path,
    jwks_url: str,
    *,
    launcher: Sequence[str] = (),
    die_at: int = 0,
    graveyard: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    **sections: Mapping[str, Any],
) -> AsyncGenerator[ElementProcess, None]:
    """Start an element below ``data``, by way of ``launcher`` if there is one.

    It is killed at its ``die_at``-th change of the disk, if that is not 0; with a ``graveyard``, it then
    loses what was not synced.

    Raises:
        ProcessLookupError: it ended before it could be asked for anything; with its reason if it gave one.
    """
    mortality = {"DIE_AT": str(die_at), "GRAVEYARD": str(graveyard or "")}
    process = await start_child(
        data, jwks_url, launcher=launcher, environment={**mortality, **environment}, sections=sections
    )
    assert process.stdout is not None
    try:
        told = (await process.stdout.readline()).decode().strip()
        if not told.startswith("http://"):
            raise ProcessLookupError(told or "the element did not start")
        url = told.partition(" ")[0]
        async with ClientSession() as session:
            yield ElementProcess(process, ElementClient(session, url, root=data / "storage"))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def start_child(
    data: Path,
    jwks_url: str,
    *,
    launcher: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    sections: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Process:
    """A process that begins to become an element."""
    module = "tests.services.storage_element.child"
    return await asyncio.create_subprocess_exec(
        *(*launcher, sys.executable, "-m", module, str(data), jwks_url, json.dumps(dict(sections))),
        stdout=PIPE,
        cwd=Path(__file__).parents[3],
        env=os.environ | UNMEASURED | dict(environment),
    )

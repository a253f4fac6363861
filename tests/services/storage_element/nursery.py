"""Elements in processes of their own, born by the hundred: a parent that has imported everything forks.

Run as a module it is that parent: each line of standard input is the order for one child, which prints its
URL; when the child has ended, its exit code is printed.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession

from artstore.core.logging import configure_logging
from artstore.core.spec import ArtStoreError, ConfigurationError
from artstore.services.storage_element import opening
from tests.forked import UNMEASURED
from tests.services.storage_element.harness import ElementClient
from tests.services.storage_element.mortality import Fault, Misfortune

MODULE: Final = "tests.services.storage_element.nursery"


class Child:
    """A running element; ``client`` speaks to it."""

    def __init__(self, pid: int, client: ElementClient, nursery: "Nursery") -> None:
        self.pid = pid
        self.client = client
        self._nursery = nursery
        self._exit_code: int | None = None

    async def kill(self) -> None:
        """End it without warning."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Let it stop; its exit code, which is 3 when its misfortune has happened."""
        return await self._end(signal.SIGTERM)

    def heal(self) -> None:
        """Let nothing fail any more."""
        os.kill(self.pid, signal.SIGUSR1)

    async def _end(self, how: signal.Signals) -> int:
        if self._exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)
            self._exit_code = int((await self._nursery.told()).removeprefix("ended "))
        return self._exit_code


class Nursery:
    """Bears one element at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def told(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()

    @asynccontextmanager
    async def element(
        self, data: Path, jwks_url: str, misfortune: Misfortune | None = None, **sections: Mapping[str, Any]
    ) -> AsyncGenerator[Child, None]:
        """An element below ``data``, which has ``misfortune`` if there is one.

        Raises:
            ProcessLookupError: it ended before it could be asked for anything.
        """
        assert self._process.stdin is not None
        told = None if misfortune is None else misfortune.as_json()
        order = {"data": str(data), "jwks_url": jwks_url, "sections": sections, "misfortune": told}
        self._process.stdin.write(f"{json.dumps(order)}\n".encode())
        url, _, pid = (await self.told()).partition(" ")
        if url == "ended":
            raise ProcessLookupError(f"the element ended with {pid}")
        async with ClientSession() as session:
            child = Child(int(pid), ElementClient(session, url, root=data / "storage"), self)
            try:
                yield child
            finally:
                await child.kill()


@asynccontextmanager
async def opened_nursery() -> AsyncGenerator[Nursery, None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE),
        stdin=PIPE,
        stdout=PIPE,
        cwd=Path(__file__).parents[3],
        env=os.environ | UNMEASURED,
    )
    try:
        yield Nursery(process)
    finally:
        process.kill()
        await process.wait()


def bear() -> None:
    """The life of the parent."""
    configure_logging(log_format="json", level="error")
    opening.UPKEEP_INTERVAL = 0.1  # type: ignore[misc]
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_live(json.loads(line)))
        _, status = os.waitpid(pid, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


def _live(order: dict[str, Any]) -> int:
    """The life of a child; its exit code."""
    from tests.services.storage_element.child import serve

    told = order["misfortune"]
    fault = None if told is None else Fault(Misfortune.from_json(told))
    try:
        asyncio.run(serve(Path(order["data"]), order["jwks_url"], order["sections"]))
    except (ArtStoreError, ConfigurationError, OSError):
        return 4
    return 3 if fault is not None and fault.has_happened else 0


if __name__ == "__main__":
    bear()

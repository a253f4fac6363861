"""A process that stores and deletes pairs of objects and kills itself at its n-th change of the disk."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from artstore.core.testing import plugin_context
from artstore.plugins.storage_local import commit_log
from artstore.plugins.storage_local.backend import open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.plugin import SMALLEST_LOG
from artstore.plugins.storage_local.root import Root

PAIRS = 6


class MortalFiles(Files):
    """Kills the process instead of its n-th change."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_"):
            return found
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def say(*words: str) -> None:
    os.write(1, f"{' '.join(words)}\n".encode())  # at once: a kill must not cut it


async def main(root: Path, steps: int) -> None:
    commit_log.LAG = 0.02  # type: ignore[misc]
    context = plugin_context("storage_local")
    async with open_storage(
        Root(root, MortalFiles(steps)), threads=2, context=context, log_size=SMALLEST_LOG
    ) as storage:
        await storage.take_over(lambda key: True)

        async def put(name: str) -> None:
            say("begun", name)
            await storage.put_batch({name: name.encode() * 1000, f"{name}.attr.json": b"{}"})
            say("acknowledged", name)

        for number in range(PAIRS):
            await asyncio.gather(*[put(f"{number}/{twin}") for twin in "ab"])
            await asyncio.sleep(0.03 if number == PAIRS // 2 else 0)
        say("begun", "0/a-")
        await storage.delete("0/a.attr.json")
        await storage.delete("0/a")
        say("acknowledged", "0/a-")


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""Starts an admin as a process of its own, which is killed at a point of its work."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from artstore.core.config import Settings
from tests.forked import UNMEASURED


@asynccontextmanager
async def dying_admin(module: str, settings: Settings, *, die_at: int = 0) -> AsyncGenerator[Process, None]:
    """``python -m module``, which serves; ``die_at`` numbers the point, 0 is none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        str(settings.base_directory),
        settings.model_dump_json(exclude_none=True),
        stdout=PIPE,
        cwd=Path(__file__).parents[3],
        env=os.environ | UNMEASURED | {"DIE_AT": str(die_at)},
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline(), "admin did not start"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""What the kernel knows of other processes, and work that is done in one of its own."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(process_ids: Iterable[int]) -> float:
    """Processor time that the processes have used since they started, in user and kernel mode."""
    return sum(_ticks(process_id) for process_id in process_ids) / TICKS_PER_SECOND


def resident_size(process_id: int) -> int:
    """Bytes of memory that the process holds now."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * PAGE_SIZE


def in_child(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``work`` returns, called in a fresh process: what it costs is nobody else's time."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def _ticks(process_id: int) -> int:
    # proc(5): utime and stime are fields 14 and 15; the name, field 2, may hold anything but ')'.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

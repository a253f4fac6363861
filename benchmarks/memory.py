"""Memory of each role while one large file goes up and comes down again."""

import threading
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from benchmarks.client import Load, generate
from benchmarks.deployment import OFFSETS, Deployment, RoleName, running
from benchmarks.documents import download, stored_file
from benchmarks.processes import in_child, resident_size
from benchmarks.tables import console, print_table
from benchmarks.workplace import MIB, Workplace

AIM: Final = 64 * MIB
"""Above idle, for each role."""
INTERVAL: Final = 0.02
"""Seconds between two looks at a role."""

T = TypeVar("T")
Sizes = Mapping[RoleName, int]


def run(place: Workplace) -> None:
    size = place.scale.memory_file_size
    with running(Deployment(place.directory / "data")) as roles, console.status("memory"):
        token = roles.token()
        # What is imported or built at the first request is no matter of the file's size.
        _download(roles, stored_file(roles, token=token, size=MIB), token)
        roles.settle()
        idle = {role: resident_size(roles.process_id(role)) for role in OFFSETS}
        up, file_id = _watched(roles, lambda: stored_file(roles, token=token, size=size))
        down, _ = _watched(roles, lambda: _download(roles, file_id, token))
    print_table(
        f"Resident memory while {size // MIB} MB go up through the ingester and come down through query, MiB",
        ("role", "idle", "above idle, up", "above idle, down", "aim"),
        [
            (
                role,
                f"{idle[role] / MIB:.0f}",
                f"{(up[role] - idle[role]) / MIB:.0f}",
                f"{(down[role] - idle[role]) / MIB:.0f}",
                f"< {AIM // MIB}",
            )
            for role in OFFSETS
        ],
    )


def _watched(roles: Deployment, work: Callable[[], T]) -> tuple[Sizes, T]:
    """The most that each role held while ``work`` was done, and what that returned."""
    peaks: dict[RoleName, int] = dict.fromkeys(OFFSETS, 0)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            for role in OFFSETS:
                peaks[role] = max(peaks[role], resident_size(roles.process_id(role)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return peaks, work()
    finally:
        done.set()
        watcher.join()


def _download(roles: Deployment, file_id: str, token: str) -> None:
    # The one request that warms up is all that is wanted.
    load = Load(roles.port("query"), [download(file_id, token)], connections=1, served_by=(), count=0)
    in_child(generate, load)

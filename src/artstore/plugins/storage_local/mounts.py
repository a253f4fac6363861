"""Which file systems only this host can have mounted, so that their locks are met by everybody."""

import os
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")

OF_ONE_HOST: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "ramfs", "overlay"}
)
"""Others may be shared, or stand on what is shared, and what they make of a lock depends on how they are
mounted (flock(2), nfs(5))."""


def is_of_this_host(path: str) -> bool:
    """Whether ``path`` is on a file system that no other host has. Blocks; no where nobody can tell."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = MOUNTS.read_text().splitlines()
    except OSError:
        return False
    return any(_type(mount) in OF_ONE_HOST for mount in mounts if mount.split()[2] == number)


def _type(mount: str) -> str:
    """The type of a file system is the first field after the separator (proc_pid_mountinfo(5))."""
    return mount.partition(" - ")[2].split(" ", 1)[0]

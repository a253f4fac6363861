"""Makes a process end at its n-th change of the disk, as a power button would: before the change is made."""

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from artstore.plugins.metadata_sqlite.group import Group
from artstore.plugins.storage_local.files import Files

CHANGES: Final = [name for name, found in vars(Files).items() if callable(found) and not name.startswith("_")]


def die_at(step: int) -> None:
    """Kill this process instead of its ``step``-th change of the storage, or commit of the catalog."""
    steps = count(1)

    def mortal(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **named)

        return call

    for name in CHANGES:
        setattr(Files, name, mortal(getattr(Files, name)))
    Group.commit = mortal(Group.commit)  # type: ignore[method-assign]

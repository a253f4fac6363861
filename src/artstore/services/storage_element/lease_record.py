"""What ``lease.json`` says: which process may change a root, and since which takeover."""

import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attribute_fields import Timestamp

LEASE_KEY: Final = "lease.json"
_PROC: Final = Path("/proc")
_START_TIME: Final = 22
"""Number of the field of /proc/PID/stat that says when a process began (proc_pid_stat(5))."""


class Holder(BaseModel):
    """A process, told from every other of any host, earlier ones with its number included.

    ``boot_id`` names the run of the kernel and ``pid_namespace`` whose numbers ``pid`` is one of: only
    within both can anybody see whether it lives. ``started`` is in clock ticks after the boot.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: int
    nonce: str

    @classmethod
    def this_process(cls) -> Self:
        """The holder that this process is, with a new nonce. Blocks."""
        return cls(
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            started=_started(os.getpid()) or 0,
            nonce=secrets.token_hex(16),
        )

    def is_neighbour(self, other: "Holder") -> bool:
        """Whether the one can see whether the other lives."""
        mine, others = (self.boot_id, self.pid_namespace), (other.boot_id, other.pid_namespace)
        return mine == others and "" not in mine

    def is_alive(self) -> bool:
        """Whether this process, a neighbour, still runs. Blocks."""
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class LeaseRecord(BaseModel):
    """One state of the lease.

    ``fence`` grows with each takeover and ``renewals`` with each renewal. ``expires_at`` is for people:
    no clock of another host is believed.
    """

    model_config = ConfigDict(frozen=True)

    holder: Holder
    fence: Annotated[int, Field(ge=0)]
    renewals: Annotated[int, Field(ge=0)]
    ttl: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    expires_at: Timestamp
    released: bool

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """The record, or ``None`` for what is none."""
        with suppress(ValidationError):
            return cls.model_validate_json(raw)
        return None

    def encode(self) -> bytes:
        """As it is stored. People read it too."""
        return f"{self.model_dump_json(indent=2)}\n".encode()


def now() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return os.readlink(_PROC / "self/ns/pid")
    return ""


def _started(pid: int) -> int | None:
    """When a process began; ``None`` when there is none, or it is dead and only not waited for."""
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[_START_TIME - 3])

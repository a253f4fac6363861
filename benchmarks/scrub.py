"""Reading every file again, against reading and hashing the same files in one thread; both from the disk."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Final

from benchmarks.client import Load, generate
from benchmarks.comparison import Contender, Sample, compare
from benchmarks.deployment import Deployment, running
from benchmarks.documents import element_upload
from benchmarks.peers import read_and_hash
from benchmarks.processes import cpu_seconds, in_child
from benchmarks.workplace import KIB, MIB, Workplace

UNLIMITED: Final = {"ARTSTORE__ELEMENT__FIXITY__BUDGET": str(10**12)}
AIMS: Final[Mapping[int, float | None]] = {100 * MIB: 0.8, MIB: 0.8, 10 * KIB: None}
"""By size of the files."""
CONNECTIONS: Final = 4
_POLL_INTERVAL: Final = 0.05


def run(place: Workplace) -> None:
    for size in AIMS:
        _compare(place, size=size)


def _compare(place: Workplace, *, size: int) -> None:
    count = min(place.scale.scrubbed_files, place.scale.scrubbed_size // size)
    with running(Deployment(place.directory / f"data-{size}", environment=UNLIMITED)) as roles:
        in_child(generate, _uploads(roles, size=size, count=max(1, count // CONNECTIONS)))
        roles.settle()
        paths = _data_files(roles.data / "storage")
        compare(
            f"Reading {len(paths)} files of {size // KIB} KiB again",
            unit="MiB",
            limit=Contender("read and hash in one thread", lambda: in_child(read_and_hash, paths)),
            contenders=[Contender("scrub", lambda: _scrub(roles), AIMS[size])],
            repeats=place.scale.repeats,
            settle=roles.settle,
        )


def _uploads(roles: Deployment, *, size: int, count: int) -> Load:
    request = element_upload(roles.token(), size=size)
    return Load(roles.port("element"), [request], CONNECTIONS, roles.process_ids(), count=count)


def _data_files(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("2*/**/*") if path.is_file() and path.suffix != ".json")


def _scrub(roles: Deployment) -> Sample:
    """By the element's own clock: asking how far it is costs time, too."""
    headers = {"Authorization": f"Bearer {roles.token()}", "Content-Type": "application/json"}
    cpu = cpu_seconds([roles.process_id("element")])
    run = roles.ask("element", "POST", "/api/v1/fixity", body=b"{}", headers=headers)
    while run["state"] != "finished":
        sleep(_POLL_INTERVAL)
        run = roles.ask("element", "GET", f"/api/v1/fixity/runs/{run['run_id']}", headers=headers)
    cpu = cpu_seconds([roles.process_id("element")]) - cpu
    began, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    size = run["checked_bytes"] / MIB
    return Sample(rate=size / (ended - began).total_seconds(), cpu=cpu / size)

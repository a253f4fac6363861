"""Durable uploads of 10 KB, against a script that does the same writes and syncs without HTTP."""

from functools import partial
from typing import Final

from benchmarks.client import Load, Request
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, RoleName, measured, running
from benchmarks.documents import element_upload, ingester_upload
from benchmarks.peers import write_durably
from benchmarks.processes import in_child
from benchmarks.workplace import Workplace

SIZE: Final = 10 * 1024
CONNECTIONS: Final = (1, 16, 64)
INGESTER_CONNECTIONS: Final = 16
MOST_THREADS: Final = 8
"""With more, the script gets slower."""

WITHOUT_LOG: Final = {"ARTSTORE__STORAGE__COMMIT_LOG_SIZE": "0"}
AIM_WITH_LOG: Final = 1.0
AIM_WITHOUT_LOG: Final = 0.5


def run(place: Workplace) -> None:
    _into_the_element(place)
    _through_the_ingester(place)


def _into_the_element(place: Workplace) -> None:
    """With and without the commit log, over few connections and many."""
    with (
        running(Deployment(place.directory / "log")) as log,
        running(Deployment(place.directory / "plain", environment=WITHOUT_LOG)) as plain,
    ):

        def contender(name: str, deployment: Deployment, connections: int, aim: float | None) -> Contender:
            request = element_upload(deployment.token(), size=SIZE)
            load = _load(place, deployment, "element", request, connections)
            return Contender(name, partial(measured, load), aim)

        def settle() -> None:
            log.settle()
            plain.settle()

        for connections in CONNECTIONS:
            threads = min(connections, MOST_THREADS)
            compare(
                f"Durable uploads of 10 KB into the element, connections: {connections}",
                unit="file",
                limit=_script(place, threads=threads),
                contenders=[
                    contender(
                        "with the commit log",
                        log,
                        connections,
                        AIM_WITH_LOG if connections == max(CONNECTIONS) else None,
                    ),
                    contender("without", plain, connections, AIM_WITHOUT_LOG),
                    *([_script(place, threads=1)] if threads > 1 else []),
                ],
                repeats=place.scale.repeats,
                settle=settle,
            )


def _through_the_ingester(place: Workplace) -> None:
    with (
        running(Deployment(place.directory / "four")) as four,
        running(Deployment(place.directory / "one", one_process=True)) as one,
    ):

        def contender(name: str, deployment: Deployment, aim: float | None = None) -> Contender:
            request = ingester_upload(deployment.token(), size=SIZE)
            load = _load(place, deployment, "ingester", request, INGESTER_CONNECTIONS)
            return Contender(name, partial(measured, load), aim)

        def settle() -> None:
            four.settle()
            one.settle()

        compare(
            f"Durable uploads of 10 KB through the ingester, connections: {INGESTER_CONNECTIONS}",
            unit="file",
            limit=_script(place, threads=MOST_THREADS),
            contenders=[
                contender("a process for each role", four, 0.3),
                contender("`artstore up`", one),
            ],
            repeats=place.scale.repeats,
            settle=settle,
        )


def _script(place: Workplace, *, threads: int) -> Contender:
    """Data, sidecar and their directory, each file with syncs of its own."""
    return Contender(
        f"bare script, threads: {threads}",
        lambda: in_child(
            write_durably, place.directory, size=SIZE, threads=threads, seconds=place.scale.seconds
        ),
    )


def _load(
    place: Workplace, deployment: Deployment, role: RoleName, request: Request, connections: int
) -> Load:
    return Load(
        deployment.port(role),
        [request],
        connections,
        deployment.process_ids(),
        seconds=place.scale.seconds,
    )

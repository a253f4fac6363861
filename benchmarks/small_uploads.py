"""Durable uploads of 10 KB, against a script that does the same writes and fsyncs without HTTP."""

from typing import Final

from benchmarks.client import Load, Request
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, RoleName, measured, running
from benchmarks.documents import element_upload, ingester_upload
from benchmarks.peers import write_durably
from benchmarks.processes import in_child
from benchmarks.workplace import Workplace

SIZE: Final = 10 * 1024
CONNECTIONS: Final = 16
BARE_THREADS: Final = 8


def run(place: Workplace) -> None:
    seconds = place.scale.seconds
    with (
        running(Deployment(place.directory / "four")) as four,
        running(Deployment(place.directory / "one", one_process=True)) as one,
    ):

        def contender(
            name: str, deployment: Deployment, role: RoleName, upload: Request, aim: float | None = None
        ) -> Contender:
            load = Load(
                deployment.port(role), [upload], CONNECTIONS, deployment.process_ids(), seconds=seconds
            )
            return Contender(name, lambda: measured(load), aim)

        def settle() -> None:
            four.settle()
            one.settle()

        compare(
            f"Durable uploads of 10 KB, {CONNECTIONS} connections",
            unit="file",
            limit=Contender(
                f"bare script, {BARE_THREADS} threads",
                lambda: in_child(
                    write_durably, place.directory, size=SIZE, threads=BARE_THREADS, seconds=seconds
                ),
            ),
            contenders=[
                contender("into the element", four, "element", element_upload(four.token(), size=SIZE)),
                contender(
                    "through the ingester", four, "ingester", ingester_upload(four.token(), size=SIZE), 0.3
                ),
                contender(
                    "through the ingester, `artstore up`",
                    one,
                    "ingester",
                    ingester_upload(one.token(), size=SIZE),
                ),
            ],
            repeats=place.scale.repeats,
            settle=settle,
        )

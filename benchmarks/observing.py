"""What metrics cost: the part of the processor time of uploads that goes into counting and timing them."""

import json
from pathlib import Path
from typing import Final

from benchmarks import observed
from benchmarks.client import Load, Outcome, generate
from benchmarks.deployment import Deployment, running
from benchmarks.documents import element_upload
from benchmarks.processes import in_child
from benchmarks.tables import print_table
from benchmarks.workplace import Workplace

SIZE: Final = 10 * 1024
CONNECTIONS: Final = 16


def run(place: Workplace) -> None:
    """Not on against off: a hundredth is less than two runs of the same differ by, and there is no switch."""
    environment = {"PYTHONPATH": str(Path(observed.__file__).parent), "OBSERVED": str(place.directory)}
    with running(Deployment(place.directory / "data", environment=environment)) as roles:
        element = roles.process_id("element")
        roles.settle()
        load = Load(
            roles.port("element"),
            [element_upload(roles.token(), size=SIZE)],
            CONNECTIONS,
            [element],
            seconds=place.scale.seconds * place.scale.repeats,
        )
        outcome = in_child(generate, load)
    _print(outcome, json.loads((place.directory / f"{element}.json").read_text()))


def _print(outcome: Outcome, spent: dict[str, float]) -> None:
    uploads = outcome.answers + CONNECTIONS  # those before, which warm up
    cpu = outcome.cpu / outcome.answers
    observing = spent["seconds"] / uploads
    print_table(
        "Metrics of an upload of 10 KB into the element",
        ("", "calls/file", "CPU µs/file", "of all CPU", "aim"),
        [
            ("upload", "", f"{cpu * 1e6:.0f}", "", ""),
            (
                "its metrics",
                f"{spent['calls'] / uploads:.1f}",
                f"{observing * 1e6:.1f}",
                f"{observing / cpu:.2%}",
                "< 1 %",
            ),
        ],
    )

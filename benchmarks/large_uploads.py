"""Uploads of 100 MB, against hashing and writing it in one thread."""

from typing import Final

from benchmarks.client import Load
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, measured, running
from benchmarks.documents import element_upload, ingester_upload
from benchmarks.peers import hash_and_write
from benchmarks.processes import in_child
from benchmarks.workplace import MIB, Workplace

SIZE: Final = 100 * MIB


def run(place: Workplace) -> None:
    files = place.scale.large_uploads
    with running(Deployment(place.directory / "data")) as roles:
        token = roles.token()
        to_element = Load(
            roles.port("element"), [element_upload(token, size=SIZE)], 1, roles.process_ids(), count=files
        )
        to_ingester = Load(
            roles.port("ingester"), [ingester_upload(token, size=SIZE)], 1, roles.process_ids(), count=files
        )
        compare(
            "Uploads of 100 MB, 1 connection",
            unit="MiB",
            limit=Contender(
                "hash, write, fsync in one thread",
                lambda: in_child(hash_and_write, place.directory, size=SIZE, files=files),
            ),
            contenders=[
                Contender("into the element", lambda: measured(to_element, units_per_answer=SIZE / MIB)),
                Contender("through the ingester", lambda: measured(to_ingester, units_per_answer=SIZE / MIB)),
            ],
            repeats=place.scale.repeats,
            settle=roles.settle,
        )

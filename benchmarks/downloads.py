"""Downloads, against a server that does nothing but hand the file to the kernel."""

from typing import Final

from benchmarks.client import Load, Request, request_head
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, RoleName, measured, running
from benchmarks.documents import download, stored_file
from benchmarks.peers import file_server
from benchmarks.workplace import MIB, Workplace

CONNECTIONS: Final = {MIB: 8, 100 * MIB: 2}
"""How many, by size of the file."""
HASHED_EACH_TIME: Final = {"ARTSTORE__ELEMENT__FIXITY__DOWNLOADS_VERIFIED_FOR": "0"}


def run(place: Workplace) -> None:
    with (
        running(Deployment(place.directory / "four")) as four,
        running(Deployment(place.directory / "one", one_process=True)) as one,
        running(Deployment(place.directory / "strict", environment=HASHED_EACH_TIME)) as strict,
    ):
        for size in CONNECTIONS:
            _compare(place, four, one, strict, size=size)


def _compare(place: Workplace, four: Deployment, one: Deployment, strict: Deployment, *, size: int) -> None:
    plain = place.directory / "plain"
    plain.write_bytes(bytes(size))
    requests = {deployment: _request(deployment, size=size) for deployment in (four, one, strict)}

    def load(port: int, request: Request, *served_by: int) -> Load:
        return Load(port, [request], CONNECTIONS[size], served_by, seconds=place.scale.seconds)

    def contender(
        name: str, deployment: Deployment, role: RoleName, request: Request, *, aim: float | None = None
    ) -> Contender:
        download = load(deployment.port(role), request, *deployment.process_ids())
        return Contender(name, lambda: measured(download, units_per_answer=size / MIB), aim)

    with file_server(plain) as server:
        bare = load(server.port, Request(request_head("GET", "/")), server.process_id)
        compare(
            f"Downloads of {size // MIB} MB, {CONNECTIONS[size]} connections",
            unit="MiB",
            limit=Contender("bare sendfile", lambda: measured(bare, units_per_answer=size / MIB)),
            contenders=[
                contender("from the element", four, "element", requests[four], aim=0.7),
                contender("from the element, hashed each time", strict, "element", requests[strict]),
                contender("through query", four, "query", requests[four], aim=0.3),
                contender("through query, `artstore up`", one, "query", requests[one]),
            ],
            repeats=place.scale.repeats,
            settle=four.settle,
        )


def _request(deployment: Deployment, *, size: int) -> Request:
    token = deployment.token()
    return download(stored_file(deployment, token=token, size=size), token)

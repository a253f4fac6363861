"""What the audit trail costs: the same work with and without it, side by side."""

from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.client import Load, Request
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, RoleName, measured, running
from benchmarks.documents import element_upload, ingester_upload
from benchmarks.tokens import UNLIMITED, token_request
from benchmarks.workplace import Workplace

SIZE: Final = 10 * 1024
CONNECTIONS: Final = 16
WITHOUT: Final = {**UNLIMITED, "ARTSTORE__AUDIT__ENABLED": "false"}

WORK: Final[dict[str, tuple[str, RoleName, Callable[[Deployment], Request]]]] = {
    "Access tokens": ("token", "admin", token_request),
    "Durable uploads of 10 KB into the element": (
        "file",
        "element",
        lambda roles: element_upload(roles.token(), size=SIZE),
    ),
    "Durable uploads of 10 KB through the ingester": (
        "file",
        "ingester",
        lambda roles: ingester_upload(roles.token(), size=SIZE),
    ),
}


def run(place: Workplace) -> None:
    with (
        running(Deployment(place.directory / "on", environment=UNLIMITED)) as audited,
        running(Deployment(place.directory / "off", environment=WITHOUT)) as plain,
    ):

        def settle() -> None:
            audited.settle()
            plain.settle()

        for what, (unit, role, request) in WORK.items():
            loads = [
                Load(
                    roles.port(role),
                    [request(roles)],
                    CONNECTIONS,
                    roles.process_ids(),
                    seconds=place.scale.seconds / 2,
                )
                for roles in (plain, audited)
            ]
            compare(
                f"{what}, {CONNECTIONS} connections",
                unit=unit,
                limit=Contender("without audit", partial(measured, loads[0])),
                contenders=[Contender("with audit", partial(measured, loads[1]))],
                repeats=place.scale.repeats,
                settle=settle,
            )

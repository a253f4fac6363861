"""Access tokens, against the rate at which this machine makes RSA signatures at all."""

from typing import Final

from benchmarks.client import Load, Request, request_head
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, measured, running
from benchmarks.peers import sign
from benchmarks.processes import in_child
from benchmarks.workplace import Workplace

CONNECTIONS: Final = 16
KEY_SIZE: Final = 2048
UNLIMITED: Final = {"ARTSTORE__SERVER__RATE_LIMITS__CREDENTIALS": "1000000000"}
"""One address asks as fast as it can; its requests are counted as ever."""


def run(place: Workplace) -> None:
    seconds = place.scale.seconds
    with running(Deployment(place.directory / "data", environment=UNLIMITED)) as roles:
        load = Load(
            roles.port("admin"),
            [token_request(roles)],
            CONNECTIONS,
            [roles.process_id("admin")],
            seconds=seconds,
        )
        compare(
            f"Access tokens, {CONNECTIONS} connections",
            unit="token",
            limit=Contender(
                f"RSA-{KEY_SIZE} signatures in one thread",
                lambda: in_child(sign, key_size=KEY_SIZE, seconds=seconds),
            ),
            contenders=[Contender("POST /api/v1/auth/token", lambda: measured(load), 0.6)],
            repeats=place.scale.repeats,
            settle=roles.settle,
        )


def token_request(roles: Deployment) -> Request:
    form = b"grant_type=client_credentials"
    head = request_head(
        "POST",
        "/api/v1/auth/token",
        length=len(form),
        Authorization=f"Basic {roles.basic_credentials()}",
        Content_Type="application/x-www-form-urlencoded",
    )
    return Request(head, body=form)

"""Access tokens, against the rate at which this machine makes RSA signatures at all."""

from functools import partial
from typing import Final

from benchmarks.client import Load, Request, request_head
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, measured, running
from benchmarks.peers import sign
from benchmarks.processes import in_child
from benchmarks.workplace import Workplace

CONNECTIONS: Final = 16
KEY_SIZE: Final = 2048
AIM: Final = 0.6
UNLIMITED: Final = {"ARTSTORE__SERVER__RATE_LIMITS__CREDENTIALS": "1000000000"}
"""One address asks as fast as it can; its requests are counted as ever."""


def run(place: Workplace) -> None:
    with (
        running(Deployment(place.directory / "one", environment=UNLIMITED)) as one,
        running(Deployment(place.directory / "two", environment=UNLIMITED, admins=2)) as two,
    ):

        def settle() -> None:
            one.settle()
            two.settle()

        compare(
            f"Access tokens, {CONNECTIONS} connections",
            unit="token",
            limit=Contender(
                f"RSA-{KEY_SIZE} signatures in one thread",
                lambda: in_child(sign, key_size=KEY_SIZE, seconds=place.scale.seconds),
            ),
            contenders=[
                Contender("admin", partial(measured, _load(place, one)), AIM),
                Contender("admin, two processes", partial(measured, _load(place, two)), AIM),
            ],
            repeats=place.scale.repeats,
            settle=settle,
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


def _load(place: Workplace, roles: Deployment) -> Load:
    return Load(
        roles.port("admin"),
        [token_request(roles)],
        CONNECTIONS,
        roles.process_ids(),
        seconds=place.scale.seconds,
    )

"""What it costs a role to know who asks: with a token it has verified before, and with one it has not."""

from typing import Final

from benchmarks.client import Load, Request, request_head
from benchmarks.comparison import Contender, compare
from benchmarks.deployment import Deployment, measured, running
from benchmarks.tokens import UNLIMITED
from benchmarks.workplace import Workplace

CONNECTIONS: Final = 16
TOKENS: Final = 500
"""More than are remembered here, so that each is verified anew whenever its turn comes."""
FORGETFUL: Final = {"ARTSTORE__AUTH": '{type = "oauth", cache_size = 16}'}
PATH: Final = "/api/v1/mode"


def run(place: Workplace) -> None:
    """Requests to the element whose answers cost next to nothing."""
    environment = {**UNLIMITED, **FORGETFUL}
    with running(Deployment(place.directory / "data", environment=environment)) as roles:
        tokens = [roles.token() for _ in range(TOKENS)]

        def load(*requests: Request) -> Load:
            served_by = [roles.process_id("element")]
            return Load(roles.port("element"), requests, CONNECTIONS, served_by, seconds=place.scale.seconds)

        open_to_all = load(Request(request_head("GET", "/health/live")))
        remembered = load(Request(request_head("GET", PATH, token=tokens[0])))
        new = load(*(Request(request_head("GET", PATH, token=token)) for token in tokens))
        compare(
            f"Verification of access tokens, {CONNECTIONS} connections",
            unit="request",
            limit=Contender("GET /health/live, without a token", lambda: measured(open_to_all)),
            contenders=[
                Contender(f"GET {PATH}, a token verified before", lambda: measured(remembered)),
                Contender(f"GET {PATH}, a token never seen before", lambda: measured(new)),
            ],
            repeats=place.scale.repeats,
            settle=roles.settle,
        )

"""One cluster for the attacks of a module: `artstore up`, as an attacker finds it."""

from collections.abc import Iterator

import pytest

from tests.attacks.forging import Attacker
from tests.cluster import running_cluster

UNLIMITED = {
    "ARTSTORE__SERVER__RATE_LIMITS__CREDENTIALS": "0",
    "ARTSTORE__SERVER__RATE_LIMITS__FAILURES": "0",
}
"""Attacks that guess are tried elsewhere; here one address tries everything at once."""


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacker]:
    """Who attacks a running cluster."""
    with running_cluster(tmp_path_factory.mktemp("attacked") / "data", environment=UNLIMITED) as cluster:
        yield Attacker(cluster)

"""One running cluster for all tests that leave it running."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that the tests of one module share."""
    with running_cluster(tmp_path_factory.mktemp("cluster") / "data") as cluster:
        yield cluster

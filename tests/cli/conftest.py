"""One running cluster for all tests of a module, and files to put into it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that the tests of one module share."""
    with running_cluster(tmp_path_factory.mktemp("cluster") / "data") as cluster:
        yield cluster


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A file with a name and content of its own."""
    path = tmp_path / f"{uuid4()}.txt"
    path.write_bytes(uuid4().bytes)
    return path

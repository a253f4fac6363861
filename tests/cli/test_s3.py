"""A cluster whose files are in a bucket, started from a configuration file as an operator writes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, run_artstore
from tests.s3.servers import S3Server

STORAGE = """
[storage]
type = "s3"
bucket = "{bucket}"
prefix = "se-01"
endpoint_url = "{url}"
access_key_id = {{ secret = "s3-access-key" }}
secret_access_key = {{ secret = "s3-secret-key" }}
"""


@pytest.fixture
def bucket(swift: S3Server) -> Iterator[str]:
    with swift.bucket() as bucket:
        yield bucket


@pytest.fixture
def data(tmp_path: Path, swift: S3Server, bucket: str) -> Path:
    """A directory of a cluster that was initialised and told to keep files in the bucket."""
    data = tmp_path / "data"
    run_artstore("init", str(data))
    path = data / "artstore.toml"
    before, _, after = path.read_text().partition("[storage]")
    section = STORAGE.format(bucket=bucket, url=swift.url)
    path.write_text(before + section + after[after.index("[catalog]") :])
    for name, value in (("s3-access-key", swift.access_key_id), ("s3-secret-key", swift.secret_access_key)):
        secret = data / "secrets" / name
        secret.parent.mkdir(exist_ok=True, mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(value)
    return data


def test_a_cluster_keeps_its_files_in_the_bucket(
    data: Path, swift: S3Server, bucket: str, tmp_path: Path
) -> None:
    document = tmp_path / "report.txt"
    document.write_text("the annual report")
    cluster = Cluster(data)
    try:
        cluster.start()
        cluster.command("put", str(document))
        cluster.kill()
        (data / "storage" / ".artstore" / "catalog.db").unlink()
        cluster.start()

        found = cluster.command("search", "report", "--json").stdout

        assert "report.txt" in found
        assert any(name.endswith(".attr.json") for name in swift.names(bucket, "se-01/2"))
    finally:
        cluster.kill()


def test_a_bucket_that_is_not_there_is_told_in_one_line(data: Path, bucket: str) -> None:
    path = data / "artstore.toml"
    path.write_text(path.read_text().replace(f'bucket = "{bucket}"', 'bucket = "nobody-made-this"'))

    completed = run_artstore("up", "--data", str(data), "--base-port", "9", check=False)

    assert completed.returncode == 2
    assert "Traceback" not in completed.stderr
    assert "there is no such bucket: create it, or change option bucket" in completed.stderr

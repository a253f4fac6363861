"""Keys of the storage that are replaced in the secrets chain, of a cluster that is at work all the time."""

import os
import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from botocore.exceptions import ClientError

from tests.cluster import Answer, Cluster, request
from tests.s3.servers import S3Server, server_at

CONFIGURATION = """
secrets_reload_interval = 0.2

[[secrets]]
type = "k8s"
directory = "mounted"

[[secrets]]
type = "file"
directory = "secrets"

[storage]
type = "s3"
bucket = "{bucket}"
endpoint_url = "{url}"
access_key_id = {{ secret = "s3-access-key" }}
secret_access_key = {{ secret = "s3-secret-key" }}
"""
PATIENCE = 30.0
WRONG = "a-wrong-secret-that-nobody-may-see"


class Volume:
    """A mounted Secret, of which the kubelet exchanges all files at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._versions = 0

    def publish(self, server: S3Server | None) -> None:
        """The keys of ``server``; ``None``: no keys any more."""
        self._versions += 1
        version = self._directory / f"..{self._versions}"
        version.mkdir(parents=True)
        for name, value in keys_of(server).items() if server else ():
            (version / name).write_text(value)
        link = self._directory / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._directory / "..data")


def keys_of(server: S3Server) -> dict[str, str]:
    return {"s3-access-key": server.access_key_id, "s3-secret-key": server.secret_access_key}


def write_secret(cluster: Cluster, name: str, value: str) -> None:
    """As an operator does who replaces a file."""
    new = cluster.data / f"{name}.new"
    new.touch(mode=0o600)
    new.write_text(value)
    new.rename(cluster.data / "secrets" / name)


@pytest.fixture
def bucket(swift: S3Server) -> Iterator[str]:
    with swift.bucket() as bucket:
        yield bucket


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "data" / "mounted")


@pytest.fixture
def cluster(tmp_path: Path, swift: S3Server, bucket: str) -> Iterator[Cluster]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "artstore.toml").write_text(CONFIGURATION.format(bucket=bucket, url=swift.url))
    (data / "secrets").mkdir(mode=0o700)
    (data / "storage").mkdir()
    cluster = Cluster(data)
    yield cluster
    cluster.kill()


@contextmanager
def uploads(cluster: Cluster) -> Generator[list[Answer], None, None]:
    """Two clients that upload one file after the other; every answer they get."""
    answers: list[Answer] = []
    is_over = threading.Event()
    cluster.token()

    def upload() -> None:
        while not is_over.is_set():
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Disposition": 'attachment; filename="random"',
            }
            answers.append(
                cluster.request("ingester", "POST", "/api/v1/files", body=os.urandom(2000), headers=headers)
            )

    clients = [threading.Thread(target=upload) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        is_over.set()
        for client in clients:
            client.join()


def eventually(claim: Callable[[], bool]) -> None:
    end = monotonic() + PATIENCE
    while not claim():
        assert monotonic() < end, "it has not come true"
        sleep(0.05)


def rotations(cluster: Cluster, outcome: str) -> int:
    metrics = request("GET", cluster.url("element", "/metrics")).body.decode()
    line = rf'artstore_secret_rotations_total{{outcome="{outcome}",plugin="storage_s3"}} (\d+)'
    found = re.search(line, metrics)
    assert found is not None, metrics
    return int(found[1])


def readiness(cluster: Cluster) -> tuple[str, str]:
    check = request("GET", cluster.url("element", "/health/ready")).json()["checks"]["storage-secrets"]
    return check["status"], check["detail"]


def is_refused(server: S3Server, bucket: str) -> bool:
    mine = server_at(server.url, server.access_key_id, server.secret_access_key, server.log)
    try:
        mine.client.head_bucket(Bucket=bucket)
    except ClientError as error:
        return "403" in str(error)
    return False


def test_keys_are_replaced_in_a_volume_and_in_files_while_uploads_run(
    cluster: Cluster, volume: Volume, swift: S3Server, bucket: str
) -> None:
    with swift.user() as first, swift.user() as second, swift.user() as third:
        volume.publish(first)
        cluster.start()
        with uploads(cluster) as answers:
            volume.publish(second)
            eventually(lambda: rotations(cluster, "success") == 1)
            first.shut_out()
            after_first = len(answers)
            eventually(lambda: len(answers) > after_first + 3)

            for name, value in {**keys_of(third), "s3-secret-key": WRONG}.items():
                write_secret(cluster, name, value)
            volume.publish(None)
            failed = rotations(cluster, "failure")
            eventually(lambda: rotations(cluster, "failure") > failed + 3)
            with_wrong_keys = readiness(cluster)
            write_secret(cluster, "s3-secret-key", third.secret_access_key)
            eventually(lambda: rotations(cluster, "success") == 2)
            second.shut_out()
            after_second = len(answers)
            eventually(lambda: len(answers) > after_second + 3)

        assert {answer.status for answer in answers} == {201}
        assert is_refused(first, bucket)
        assert is_refused(second, bucket)
        assert with_wrong_keys[0] == "degraded"
        assert with_wrong_keys[1].startswith(f"works with the secrets it had before: bucket {bucket} of ")
        assert with_wrong_keys[1].endswith("change access_key_id and secret_access_key, or region")
        assert readiness(cluster) == ("ok", "as in the secrets chain")
        log = cluster.log.read_text()
        assert log.count("plugin_secrets_not_rotated") == 1
        assert log.count("plugin_secrets_rotated") == 2
        assert WRONG not in log

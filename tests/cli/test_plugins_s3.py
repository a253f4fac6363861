"""`artstore plugins check storage_s3` against a real service, as an operator runs it on a bucket."""

import signal
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from tests.cluster import artstore
from tests.s3.servers import S3Server

SOME: Final = 10
"""Checks, of far more than a hundred."""


@pytest.fixture
def bucket(swift: S3Server) -> Iterator[str]:
    """A bucket in which somebody's objects are already."""
    with swift.bucket() as bucket:
        swift.client.put_object(Bucket=bucket, Key="se-01/2026/somebody's", Body=b"precious")
        yield bucket


@pytest.fixture
def check(swift: S3Server, bucket: str, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The command, running."""
    options = swift.options(bucket, type="s3", prefix="se-01")
    lines = ["[storage]", *(f"{name} = '{value}'" for name, value in options.items())]
    config = tmp_path / "artstore.toml"
    config.write_text("\n".join(lines))
    command = [artstore(), "plugins", "check", "storage_s3", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_checks_of_a_real_bucket_pass_and_can_be_broken_off_without_a_trace(
    check: "subprocess.Popen[str]", swift: S3Server, bucket: str
) -> None:
    assert check.stdout is not None
    first = [line.strip() for line in islice(check.stdout, SOME)]
    check.send_signal(signal.SIGINT)
    _, told = check.communicate(timeout=60)

    assert [line for line in first if not line.startswith("passed  ")] == []
    assert (len(first), check.returncode, told) == (SOME, 130, "")
    assert swift.names(bucket) == ["se-01/2026/somebody's"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_real_bucket_keeps_the_whole_contract(
    check: "subprocess.Popen[str]", swift: S3Server, bucket: str
) -> None:
    told, _ = check.communicate()

    *checks, _, plugin, capabilities, verdict = told.splitlines()
    assert [line for line in checks if not line.startswith("passed  ")] == []
    assert "passed  its url gives ranges" in checks
    assert plugin.startswith("storage_s3 (artstore ")
    assert capabilities == ("capabilities: atomic_put, durable_put, max_object_size, presigner, strangers")
    assert verdict == f"{len(checks)} passed, 0 failed: it keeps its contract"
    assert swift.names(bucket) == ["se-01/2026/somebody's"]

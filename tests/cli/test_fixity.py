"""`artstore fixity` and damaged files at the command line, against a real cluster."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.commands import failure, store
from tests.cluster import Cluster
from tests.services.storage_element.damage import flip

LARGE = 9 * 1024 * 1024


def stored_damaged(cluster: Cluster, path: Path, size: int) -> str:
    """A file that is in the archive with one wrong byte; its id."""
    path.write_bytes(uuid4().bytes + bytes(size))
    file_id = store(cluster, path)
    [data] = [each for each in cluster.data.glob(f"storage/2*/**/*{file_id}*") if each.suffix != ".json"]
    flip(data, -1)
    return file_id


def test_a_clean_archive_is_told(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)

    told = cluster.command("fixity", "run", file_id).stdout
    status = json.loads(cluster.command("fixity", "status", "--json").stdout)

    assert "0 bad; the known-bad sample was found" in told
    assert status["last_run"]["sample"] == "found"


def test_a_bad_file_is_told_by_run_and_report(cluster: Cluster, tmp_path: Path) -> None:
    file_id = stored_damaged(cluster, tmp_path / "damaged.bin", 100_000)

    run = cluster.command("fixity", "run", "--json", file_id, check=False)
    report = cluster.command("fixity", "report", check=False)
    status = cluster.command("fixity", "status")

    assert (run.returncode, json.loads(run.stdout)["bad"]) == (1, 1)
    assert report.returncode == 1
    assert file_id in report.stdout
    assert "damaged" in status.stdout


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_getting_a_damaged_file_says_so_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path, size: int
) -> None:
    file_id = stored_damaged(cluster, tmp_path / "damaged.bin", size)
    target = tmp_path / "got.bin"

    line = failure(cluster.command("get", file_id, "-o", str(target), check=False), code=1)

    assert f"file {file_id} is damaged" in line
    assert not target.exists()


def test_a_run_over_a_file_that_is_not_there_is_no_good_news(cluster: Cluster) -> None:
    missing = str(uuid4())

    assert missing in failure(cluster.command("fixity", "run", missing, check=False), code=1)


def test_a_run_need_not_be_waited_for(cluster: Cluster) -> None:
    run = json.loads(cluster.command("fixity", "run", "--no-wait", "--json", "--older-than", "1").stdout)

    assert run["state"] == "waiting"

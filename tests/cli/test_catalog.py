"""`artstore element rebuild`: an operator has a catalog built again."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure, put_one
from tests.cluster import Cluster


def test_a_catalog_is_rebuilt_while_the_cluster_runs(cluster: Cluster, document: Path) -> None:
    file_id = put_one(cluster, document)
    before = json.loads(cluster.command("element", "info", "--json").stdout)

    status = json.loads(cluster.command("element", "rebuild", "--json").stdout)

    after = json.loads(cluster.command("element", "info", "--json").stdout)
    assert (status["state"], status["files"], status["faults"]) == ("done", before["file_count"], {})
    assert after["epoch"] == status["epoch"] != before["epoch"]
    assert file_id in cluster.command("ls").stdout


def test_what_is_left_out_is_told_to_people(cluster: Cluster, document: Path) -> None:
    put_one(cluster, document)
    cluster.command("element", "rebuild", "--no-wait")
    stranger = cluster.data / "storage" / "note.attr.json"
    stranger.write_bytes(b"{")

    told = cluster.command("element", "rebuild").stdout

    assert "rebuild done" in told
    assert "left out of the catalog: 1 unreadable" in told
    assert "note.attr.json" in told
    stranger.unlink()


@pytest.mark.parametrize("command", ["info", "rebuild"])
def test_an_element_that_is_not_there_is_told_with_those_that_are(cluster: Cluster, command: str) -> None:
    completed = cluster.command("element", command, "--element", "se-99", check=False)

    assert failure(completed, code=1) == "error: there is no storage element se-99; there are: se-01"

"""`artstore element rebuild` and `check`: an operator looks after a catalog."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import failure, put, store
from tests.cluster import Cluster


def test_a_catalog_is_rebuilt_while_the_cluster_runs(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)
    before = json.loads(cluster.command("element", "info", "--json").stdout)

    status = json.loads(cluster.command("element", "rebuild", "--json").stdout)

    after = json.loads(cluster.command("element", "info", "--json").stdout)
    assert (status["state"], status["files"], status["faults"]) == ("done", before["file_count"], {})
    assert after["epoch"] == status["epoch"] != before["epoch"]
    assert file_id in cluster.command("ls").stdout


def test_what_is_left_out_is_told_to_people(cluster: Cluster, document: Path) -> None:
    store(cluster, document)
    cluster.command("element", "rebuild", "--no-wait")
    stranger = cluster.data / "storage" / "note.attr.json"
    stranger.write_bytes(b"{")

    told = cluster.command("element", "rebuild", check=False)

    assert told.returncode == 1
    assert "rebuild done" in told.stdout
    assert "left out of the catalog: 1 unreadable" in told.stdout
    assert "note.attr.json" in told.stdout
    stranger.unlink()


def test_a_rebuild_that_would_lose_many_files_stops_and_asks(cluster: Cluster, tmp_path: Path) -> None:
    documents = [tmp_path / f"{number}.txt" for number in range(12)]
    for document in documents:
        document.write_text(document.name)
    stored = put(cluster, *documents)["stored"]
    cluster.command("element", "check")  # by then all is in plain files
    [year] = (cluster.data / "storage").glob("[0-9]*")
    elsewhere = tmp_path / "another disk"
    shutil.move(year, elsewhere)
    year.symlink_to(elsewhere)

    refused = cluster.command("element", "rebuild", check=False)
    known = cluster.command("info", stored[0]["file_id"], check=False)
    year.unlink()
    shutil.move(elsewhere, year)
    mended = cluster.command("element", "rebuild")

    assert (refused.returncode, known.returncode) == (1, 0)
    assert "rebuild failed" in refused.stdout
    assert "at most 10 may be" in refused.stdout
    assert stored[0]["file_id"] in refused.stdout
    assert "rebuild done" in mended.stdout


@pytest.mark.parametrize("command", ["info", "rebuild", "check"])
def test_an_element_that_is_not_there_is_told_with_those_that_are(cluster: Cluster, command: str) -> None:
    completed = cluster.command("element", command, "--element", "se-99", check=False)

    assert failure(completed, code=1) == "error: there is no storage element se-99; there are: se-01"


def test_a_check_finds_nothing_where_all_is_well(cluster: Cluster, document: Path) -> None:
    store(cluster, document)

    told = cluster.command("element", "check", "--verify", "--repair").stdout

    assert "comparison done" in told
    assert "0 findings" in told


def test_what_a_check_finds_is_told_and_repaired_after_a_question(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)
    cluster.command("element", "check")  # by then all is in plain files
    [sidecar] = (cluster.data / "storage").rglob(f"*{file_id}*.attr.json")
    sidecar.write_bytes(sidecar.read_bytes().replace(b'"tags":[]', b'"tags":["by hand"]'))

    found = cluster.command("element", "check", check=False)
    asked = cluster.command("element", "check", "--repair", check=False)
    repaired = json.loads(cluster.command("element", "check", "--repair", "--yes", "--json").stdout)

    assert found.returncode == 1
    assert "outdated_row" in found.stdout
    assert sidecar.name in found.stdout
    assert asked.returncode == 1
    assert "1 planned" in asked.stdout
    assert "Make these 1 changes?" in asked.stderr
    assert repaired["repairs"]["totals"] == {"repaired": 1}
    assert file_id in cluster.command("search", "hand").stdout


def test_a_kind_that_is_none_is_refused_in_one_line(cluster: Cluster) -> None:
    completed = cluster.command("element", "check", "--repair", "--kind", "typo", check=False)

    assert "kinds" in failure(completed, code=2)

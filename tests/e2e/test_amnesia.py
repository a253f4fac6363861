"""The amnesia drill: every database is taken away, and the storage alone gives everything back."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rebuild import write_files
from tests.cluster import Cluster, artstore, run_artstore, running_cluster

DATABASES = ("index.db", "storage/.artstore/catalog.db")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a cluster with three files, a deleted one and an account that somebody made."""
    directory = tmp_path_factory.mktemp("filled")
    folder = directory / "documents"
    folder.mkdir()
    for number in range(4):
        (folder / f"document {number}.txt").write_text(f"content {number}")
    with running_cluster(directory / "data") as cluster:
        cluster.command("put", "--recursive", str(folder), "--retention", "temporary")
        cluster.command("service-account", "create", "accounting", "--role", "USER")
        gone = json.loads(cluster.command("search", "document 3", "--json").stdout)["items"][0]["file_id"]
        cluster.command("rm", "--yes", gone)
        cluster.stop()
    return cluster.data


@pytest.fixture
def stopped(filled: Path, tmp_path: Path) -> Cluster:
    """A stopped cluster of its own for each test."""
    shutil.copytree(filled, tmp_path / "data")
    return Cluster(tmp_path / "data")


def drill(cluster: Cluster, *options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    port = str(cluster.base_port)
    return cluster.command("drill", "amnesia", "--base-port", port, *options, check=check)


def expected_digest(root: Path) -> str:
    """Computed from the storage, without ArtStore: what the drill says it is."""
    lines: list[str] = []
    for sidecar in root.rglob("*.attr.json"):
        raw = sidecar.read_bytes()
        lines.append(f"{json.loads(raw)['file_id']} {hashlib.sha256(raw).hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def table(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def test_the_storage_alone_gives_everything_back(stopped: Cluster) -> None:
    report = json.loads(drill(stopped, "--yes", "--json").stdout)

    digest = expected_digest(stopped.data / "storage")
    assert report["is_equal"]
    assert report["before"] == report["after"]
    assert (report["after"]["files"], report["after"]["deleted"], report["after"]["indexed"]) == (3, 1, 3)
    assert report["after"]["digest"] == digest
    assert report["files_per_second"] > 0
    assert not (stopped.data / "before-amnesia").exists()
    stopped.start()
    found = json.loads(stopped.command("search", "document", "--json").stdout)
    assert len(found["items"]) == 3
    assert "accounting" in stopped.command("service-account", "list").stdout
    stopped.stop()


def test_what_the_storage_has_lost_is_named_and_the_databases_are_put_back(stopped: Cluster) -> None:
    [sidecar] = (stopped.data / "storage").rglob("document 0*.attr.json")
    file_id = json.loads(sidecar.read_bytes())["file_id"]
    sidecar.unlink()

    completed = drill(stopped, "--yes", check=False)

    assert completed.returncode == 1
    assert f"{file_id} in the catalog: the storage does not know it" in completed.stderr
    assert "Traceback" not in completed.stderr
    catalog = stopped.data / DATABASES[1]
    assert (file_id,) in table(catalog, "SELECT file_id FROM catalog_files")
    assert (
        len(table(stopped.data / DATABASES[0], "SELECT * FROM service_accounts WHERE name = 'accounting'"))
        == 1
    )


def test_it_is_refused_while_the_cluster_runs(stopped: Cluster) -> None:
    stopped.start()

    completed = drill(stopped, "--yes", check=False)

    assert completed.returncode == 2
    assert "stop" in completed.stderr
    assert len(completed.stderr.splitlines()) == 1
    assert "document" in stopped.command("ls").stdout
    stopped.stop()


def test_it_is_not_begun_without_a_yes(stopped: Cluster) -> None:
    before = {name: (stopped.data / name).stat().st_mtime_ns for name in DATABASES}

    completed = drill(stopped, check=False)

    assert completed.returncode == 1
    assert {name: (stopped.data / name).stat().st_mtime_ns for name in DATABASES} == before


def test_an_interrupted_drill_is_told_and_undone(stopped: Cluster) -> None:
    aside = stopped.data / "before-amnesia"
    for name, path in zip(("metadata", "catalog"), DATABASES, strict=True):
        (aside / name).mkdir(parents=True)
        (stopped.data / path).rename(aside / name / Path(path).name)

    refused = drill(stopped, "--yes", check=False)
    started = stopped.command("up", "--base-port", str(stopped.base_port), check=False)
    undone = drill(stopped, "--undo")

    for completed in (refused, started):
        assert completed.returncode == 2
        assert "--undo" in completed.stderr
    assert "catalog, metadata" in undone.stdout
    assert not aside.exists()
    assert table(stopped.data / DATABASES[0], "SELECT * FROM service_accounts WHERE name = 'accounting'")


def test_databases_that_are_no_files_are_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_artstore("init", str(data))
    shared = {"ARTSTORE__METADATA__TYPE": "postgres"}

    completed = run_artstore(
        "drill", "amnesia", "--yes", "--data", str(data), check=False, environment=shared
    )

    assert completed.returncode == 2
    assert "no file of this machine" in completed.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_files_come_back(tmp_path: Path) -> None:
    """Prints the rates; with ``-s`` they can be seen."""
    data = tmp_path / "data"
    with running_cluster(data) as cluster:
        cluster.stop()
    write_files(data / "storage", 100_000)
    (data / DATABASES[1]).unlink()

    command = ["drill", "amnesia", "--yes", "--json", "--data", str(data)]
    completed = subprocess.run(
        [artstore(), *command, "--base-port", str(cluster.base_port)],
        check=True,
        capture_output=True,
        timeout=1700,
    )

    report = json.loads(completed.stdout)
    print(completed.stdout.decode())
    assert report["is_equal"]
    assert report["after"]["files"] == report["after"]["indexed"] == 100_000
    assert report["after"]["digest"] == expected_digest(data / "storage")

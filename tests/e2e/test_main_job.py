"""The promise, driven from outside: documents go in, are found, come back, and survive what happens."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, running_cluster

NAMES = {
    "Годовой отчёт 2026.txt": "Итоги года".encode(),
    "contracts/running agreements.txt": b"terms",
    "contracts/договоры/приложение №1.bin": bytes(range(256)) * 40,
    "deep/er/and/deeper/empty": b"",
    "emoji \N{PARTY POPPER}.dat": b"\x00\xff" * 70_000,
    "x" * 120 + ".log": b"long",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Real files: deep, oddly named, linked."""
    folder = tmp_path / "documents"
    for name, content in NAMES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "link").symlink_to(folder / "contracts")
    (folder / b"not utf-8 \xff.txt".decode(errors="surrogateescape")).write_bytes(b"raw name")
    (folder / "back\\slash\n.txt").write_bytes(b"odd name")
    return folder


@pytest.fixture(params=["plain", pytest.param("tls", marks=pytest.mark.slow)])
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """As `artstore up` starts it, and as `artstore up --tls` does."""
    with running_cluster(tmp_path / "data", tls=request.param == "tls") as cluster:
        yield cluster


def _put(cluster: Cluster, folder: Path, *options: str) -> dict[str, Any]:
    completed = cluster.command("put", "--recursive", str(folder), "--json", *options)
    report: dict[str, Any] = json.loads(completed.stdout)
    return report


def _found(cluster: Cluster, query: str) -> list[str]:
    page = json.loads(cluster.command("search", query, "--json").stdout)
    return sorted(item["original_filename"] for item in page["items"])


def _state(cluster: Cluster) -> dict[str, list[str]]:
    state: dict[str, list[str]] = {}
    for query in ("отчёты", "agreement", "договор", "архив", "приложения"):
        page = cluster.request("query", "POST", "/api/v1/search", json_body={"query": query}).json()
        state[query] = sorted(item["original_filename"] for item in page["items"])
    return state


def test_documents_go_in_are_found_and_come_back(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    report = _put(
        cluster, folder, "--tag", "архив", "--description", "годовые документы", "--attribute", "unit=7"
    )

    stored = report["stored"]
    assert (len(stored), report["failed"], report["skipped"]) == (8, [], 1)
    assert _found(cluster, "отчетов") == ["Годовой отчёт 2026.txt"]
    assert _found(cluster, "run agreement") == ["running agreements.txt"]
    assert len(_found(cluster, "документ")) == len(_found(cluster, "архивы")) == 8
    for answer in stored:
        cluster.command("get", answer["file_id"], "-o", str(tmp_path / "got"), "--force")
        assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == answer["checksum"]
    verified = cluster.command("verify", "--recursive", str(folder), "--json")
    assert json.loads(verified.stdout)["verified"] == 8


def test_putting_again_stores_nothing_again(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder)

    again = _put(cluster, folder)

    assert (again["stored"], again["already_stored"]) == ([], 8)


def test_a_file_that_changed_is_stored_beside_the_old_one(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder)
    (folder / "contracts" / "running agreements.txt").write_bytes(b"other terms")

    again = _put(cluster, folder)

    assert len(again["stored"]) == 1
    assert _found(cluster, "agreements") == ["running agreements.txt"] * 2


def test_verify_tells_what_is_missing(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder)
    (folder / "new.txt").write_bytes(b"never put")

    verified = cluster.command("verify", "--recursive", str(folder), check=False)

    assert verified.returncode == 1
    assert "new.txt: is not in the archive" in verified.stderr
    assert "Traceback" not in verified.stderr


def test_everything_is_still_there_after_a_stop_and_after_a_kill(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder, "--tag", "архив")
    before = _state(cluster)
    assert cluster.stop() == 0

    cluster.start()
    assert _state(cluster) == before
    cluster.kill()

    cluster.start()
    assert _state(cluster) == before
    cluster.command("verify", "--recursive", str(folder))


def test_shell_tools_alone_read_the_archive(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder, "--description", "годовые документы")
    script = r"""
        set -e
        cat ARTSTORE.md | grep -q sha256sum
        find . -path ./.artstore -prune -o -name '*.attr.json' -print | while read -r sidecar; do
            want=$(sed -E 's/.*"checksum":"([0-9a-f]{64})".*/\1/' "$sidecar")
            have=$(sha256sum "${sidecar%.attr.json}" | sed -E 's/^\\?([0-9a-f]{64}).*/\1/')
            test "$want" = "$have"
            grep -q 'годовые документы' "$sidecar"
            echo ok
        done
    """

    completed = subprocess.run(
        ["sh", "-c", script], cwd=cluster.data / "storage", capture_output=True, text=True, check=True
    )

    assert completed.stdout.split() == ["ok"] * 8


def test_losing_every_database_loses_nothing(cluster: Cluster, folder: Path) -> None:
    _put(cluster, folder, "--tag", "архив", "--retention", "temporary")
    gone = json.loads(cluster.command("search", "приложения", "--json").stdout)["items"][0]["file_id"]
    cluster.command("rm", "--yes", gone)
    before = _state(cluster)
    assert before["архив"]
    assert before["приложения"] == []
    credentials = cluster.credentials()
    cluster.stop()
    databases = [path for path in cluster.data.rglob("*.db*") if path.is_file()]
    assert {path.name for path in databases} >= {"index.db", "catalog.db"}
    for path in databases:
        path.unlink()

    cluster.start()

    assert cluster.credentials() == credentials
    _wait_for(cluster, "архив", len(before["архив"]))
    assert _state(cluster) == before
    (folder / "contracts" / "договоры" / "приложение №1.bin").unlink()
    cluster.command("verify", "--recursive", str(folder))


def test_read_your_writes_by_position(cluster: Cluster) -> None:
    answer = cluster.request(
        "element", "PUT", "/api/v1/files/01920000-0000-7000-8000-000000000001/content", body=b"direct",
        headers={"Content-Disposition": 'attachment; filename="direct.txt"'},
    )  # fmt: skip
    position = answer.headers["Artstore-Position"]

    found = cluster.request(
        "query", "POST", "/api/v1/search", json_body={"query": "direct", "at_least": position}
    )

    assert [item["original_filename"] for item in found.json()["items"]] == ["direct.txt"]


def _wait_for(cluster: Cluster, query: str, count: int) -> None:
    page = cluster.request("element", "GET", "/api/v1/info").json()
    position = f"{page['element_id']}:{page['last_sequence']}"
    answer = cluster.request(
        "query", "POST", "/api/v1/search", json_body={"query": query, "at_least": position}
    )
    assert answer.json()["total"] == count, answer.body

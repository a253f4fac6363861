"""`artstore hold`, and `artstore rm` of what must be kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.commands import failure, put_one, store
from tests.cluster import Cluster

LATER = (datetime.now(UTC) + timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_held_file_is_not_removed_before_it_is_released(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document, retention_policy="temporary", ttl_days=1)

    placed = cluster.command("hold", "place", file_id, "--id", "case-7", "--reason", "court order")
    held = cluster.command("rm", "--yes", file_id, check=False)
    listed = json.loads(cluster.command("hold", "list", file_id, "--json").stdout)
    released = cluster.command("hold", "release", file_id, "case-7")
    cluster.command("rm", "--yes", file_id)

    assert "case-7" in placed.stdout
    assert "administrator" in placed.stdout
    assert "held by case-7" in failure(held, code=1)
    assert [hold["reason"] for hold in listed["items"]] == ["court order"]
    assert released.stdout == "released case-7\n"


def test_a_hold_that_only_the_sidecar_has_keeps_the_file(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document, retention_policy="temporary", ttl_days=1)
    cluster.command("element", "check")  # by then all is in plain files
    [sidecar] = (cluster.data / "storage").rglob(f"*{file_id}*.attr.json")
    said = json.loads(sidecar.read_bytes())
    placed = {"id": "case-8", "reason": "court order", "placed_by": "x", "placed_at": said["created_at"]}
    said["retention"]["holds"] = [placed]
    sidecar.write_text(json.dumps(said))

    unread = cluster.command("rm", "--yes", file_id, check=False)
    cluster.command("element", "check", "--repair", "--yes")
    read = cluster.command("rm", "--yes", file_id, check=False)

    assert "artstore element check" in failure(unread, code=1)
    assert "held by case-8" in failure(read, code=1)
    assert json.loads(sidecar.read_bytes())["retention"]["holds"] == [placed]


@pytest.mark.parametrize("options", [(), ("--retain-until", LATER)])
def test_a_permanent_file_is_not_removed(cluster: Cluster, document: Path, options: tuple[str, ...]) -> None:
    file_id = put_one(cluster, document, *options)

    refused = cluster.command("rm", "--yes", file_id, check=False)
    described = json.loads(cluster.command("info", file_id, "--json").stdout)

    assert "is permanent: it is kept" in failure(refused, code=1)
    assert described["retention_policy"] == "permanent"
    assert ("expires_at" in described) == bool(options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--retain-until", "2036"), "must be a time such as"),
        (("--retain-until", LATER, "--retention", "temporary"), "for permanent files only"),
    ],
)
def test_a_retention_that_makes_no_sense_is_told(
    cluster: Cluster, document: Path, options: tuple[str, ...], told: str
) -> None:
    refused = cluster.command("put", str(document), *options, check=False)

    assert told in failure(refused, code=2)


def test_a_retention_in_the_past_is_told(cluster: Cluster, document: Path) -> None:
    refused = cluster.command("put", str(document), "--retain-until", "2001-01-01T00:00:00Z", check=False)

    assert refused.returncode == 1
    assert "is not in the future" in refused.stderr


def test_a_hold_that_is_not_there_is_told(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)

    refused = cluster.command("hold", "release", file_id, "none", check=False)
    unreasoned = cluster.command("hold", "place", file_id, "--reason", "", check=False)

    assert "has no hold none" in failure(refused, code=1)
    assert "reason" in failure(unreasoned, code=2)

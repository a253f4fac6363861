"""`artstore element gc` and `undelete`."""

import json
from pathlib import Path

from tests.cli.commands import failure, store
from tests.cluster import Cluster


def test_people_and_programs_see_what_there_is_to_collect(cluster: Cluster) -> None:
    told = cluster.command("element", "gc").stdout
    report = json.loads(cluster.command("element", "gc", "--apply", "--json").stdout)

    assert "nothing was removed: this was a dry run" in told
    assert report["dry_run"] is False
    assert set(report["found"]) == {"expired", "removal", "tombstone", "orphan"}


def test_what_is_not_deleted_cannot_be_brought_back(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)

    refused = cluster.command("element", "undelete", file_id, check=False)

    assert "there is no deleted file" in failure(refused, code=1)

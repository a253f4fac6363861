"""`artstore finalize` on a real cluster."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL
from uuid import uuid4

import pytest

from tests.cli.commands import failure, store
from tests.cluster import START_TIMEOUT, Cluster, artstore
from tests.services.admin.harness import Port, run_sql


def put_temporary(cluster: Cluster, path: Path) -> str:
    """Store one new file that expires in a week; its id."""
    return store(cluster, path, retention_policy="temporary", ttl_days=7)


def retention(cluster: Cluster, file_id: str) -> str:
    """How long the archive keeps a file."""
    answer = cluster.request("query", "GET", f"/api/v1/files/{file_id}")
    return str(answer.json()["retention_policy"])


def test_a_file_becomes_permanent(cluster: Cluster, document: Path) -> None:
    file_id = put_temporary(cluster, document)

    printed = cluster.command("finalize", file_id).stdout

    assert printed == f"{file_id}: permanent on se-01\n"
    assert retention(cluster, file_id) == "permanent"
    assert cluster.command("finalize", file_id, "--wait").stdout == printed


def test_programs_get_json(cluster: Cluster, document: Path) -> None:
    file_id = put_temporary(cluster, document)

    said = json.loads(cluster.command("finalize", file_id, "--json").stdout)

    assert (said["file_id"], said["status"]) == (file_id, "completed")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([str(uuid4())], "there is no file"),
        (["FILE", "--to", "se-99"], "is no storage element; there are: se-01"),
    ],
)
def test_what_cannot_be_done_is_told(
    cluster: Cluster, document: Path, arguments: list[str], told: str
) -> None:
    file_id = put_temporary(cluster, document)

    completed = cluster.command(
        "finalize", *(file_id if word == "FILE" else word for word in arguments), check=False
    )

    assert told in failure(completed, code=1)
    assert retention(cluster, file_id) == "temporary"


@pytest.fixture
def second_element(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """An element for permanent files, which the cluster knows for a while."""
    port = Port.free()
    config = tmp_path / "artstore.toml"
    own = f'element_id = "se-02"\nmode = "rw"\nport = {port.number}\n'
    secrets = f'[[secrets]]\ntype = "file"\ndirectory = "{cluster.data / "secrets"}"\n'
    admin = f'[admin]\nurl = "{cluster.url("admin")}"\n'
    config.write_text(f'issuer = "{cluster.url("admin")}"\n[element]\n{own}{admin}{secrets}')
    process = subprocess.Popen(
        [artstore(), "run", "element", "--config", str(config)], stdout=DEVNULL, stderr=DEVNULL
    )
    elements = "/api/v1/storage-elements"
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while cluster.request("admin", "POST", elements, json_body={"url": port.url}).status != 201:
            assert time.monotonic() < deadline, "the second element is not ready"
            time.sleep(0.05)
        yield "se-02"
        assert cluster.request("admin", "DELETE", f"{elements}/se-02").status == 204
    finally:
        process.kill()
        process.wait()


def test_who_waits_sees_a_file_become_permanent_elsewhere_and_who_asks_later_what_is_wrong_with_it(
    cluster: Cluster, document: Path, second_element: str, tmp_path: Path
) -> None:
    document.write_text(f"content {uuid4()}")
    file_id = put_temporary(cluster, document)

    waited = cluster.command("finalize", file_id, "--to", second_element, "--wait")

    assert waited.stdout == f"{file_id}: permanent on se-02, copy verified\n"
    assert cluster.command("get", file_id, "-o", "-").stdout == document.read_text()

    (copy,) = [path for path in tmp_path.rglob(f"*{file_id}*") if not path.name.endswith(".attr.json")]
    copy.chmod(0o600)
    copy.write_text("x" * document.stat().st_size)
    hurry = "UPDATE finalizations SET next_attempt_at = 1 WHERE next_attempt_at IS NOT NULL"
    deadline = time.monotonic() + START_TIMEOUT
    while (asked := cluster.command("finalize", file_id, check=False)).returncode == 0:
        assert time.monotonic() < deadline, asked
        run_sql(cluster.data, hurry)

    assert f"{file_id} is permanent, and keeps both copies: se-02: " in failure(asked, code=1)


def test_who_waits_is_told_that_it_came_to_nothing(
    cluster: Cluster, document: Path, second_element: str
) -> None:
    document.write_text(f"content {uuid4()}")
    file_id = put_temporary(cluster, document)
    [archived] = (cluster.data / "storage").rglob(f"{document.stem}*.txt")
    archived.chmod(0o600)
    archived.write_text("x" * document.stat().st_size)

    completed = cluster.command("finalize", file_id, "--to", second_element, "--wait", check=False)

    assert f"{file_id} is temporary still: se-01: " in failure(completed, code=1)
    assert retention(cluster, file_id) == "temporary"

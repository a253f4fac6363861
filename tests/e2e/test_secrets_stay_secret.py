"""No secret that a cluster uses is in what it logs, answers, measures, shows or is started with."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import OFFSETS, Answer, Cluster, request, run_artstore

TOKEN = "/api/v1/auth/token"
SHORTEST = 16
"""Characters; a shorter text may be anywhere by chance."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that logs all it can."""
    cluster = Cluster(tmp_path / "data")
    try:
        yield cluster.start(environment={"ARTSTORE__LOGGING__LEVEL": "debug"})
    finally:
        cluster.kill()


class Secrets:
    """Every secret that was used, in the forms in which it could leave."""

    def __init__(self, cluster: Cluster) -> None:
        self._directory = cluster.data / "secrets"
        self._found: dict[str, str] = {}

    def note_files(self) -> None:
        """What lies there now; what lay there before is a secret still."""
        for path in self._directory.iterdir():
            text = path.read_text().strip()
            self.note(path.name, text.partition(":")[2] or text)
            self.note(f"{path.name} as Basic", base64.b64encode(text.encode()).decode())

    def note(self, name: str, value: str) -> None:
        assert len(value) >= SHORTEST, name
        self._found[f"{name} {len(self._found)}"] = value

    def leaked_in(self, text: str) -> list[str]:
        return [name for name, value in self._found.items() if value in text]

    def __len__(self) -> int:
        return len(self._found)


def use(cluster: Cluster, secrets: Secrets) -> list[Answer]:
    """Work with the cluster, rightly and wrongly; what it answered, except where a secret was asked for."""
    answers: list[Answer] = []
    created = cluster.request(
        "admin", "POST", "/api/v1/service-accounts", json_body={"name": "billing", "role": "USER"}
    ).json()
    secrets.note("account", created["client_secret"])
    rotated = cluster.request(
        "admin", "POST", f"/api/v1/service-accounts/{created['id']}/rotate-secret", json_body={}
    ).json()
    secrets.note("rotated account", rotated["client_secret"])
    secrets.note("access token", cluster.token())
    for wrong in (
        {"client_id": created["client_secret"], "client_secret": created["client_id"]},
        {"client_id": created["client_id"], "client_secret": created["client_secret"] + "x"},
        {"client_id": created["client_id"], "client_secret": [rotated["client_secret"]]},
        {"grant_type": rotated["client_secret"], "scope": rotated["client_secret"]},
    ):
        body = json.dumps(wrong).encode()
        headers = {"Content-Type": "application/json"}
        answers.append(request("POST", cluster.url("admin", TOKEN), body=body, headers=headers))
    bad_token = {"Authorization": f"Bearer {cluster.token()}x"}
    for role in OFFSETS:
        for path in ("/metrics", "/api/v1/openapi.json", "/health/ready", "/api/v1/nowhere", "/api/v1/files"):
            answers.append(cluster.request(role, "GET", path))
            answers.append(request("GET", cluster.url(role, path), headers=bad_token))
    answers.append(cluster.request("admin", "GET", "/api/v1/service-accounts?limit=1000"))
    return answers


def test_no_secret_leaves_a_cluster_that_is_used_rightly_and_wrongly(
    cluster: Cluster, tmp_path: Path
) -> None:
    secrets = Secrets(cluster)
    secrets.note_files()
    (tmp_path / "report.txt").write_text("text")

    answers = use(cluster, secrets)
    stored = cluster.command("put", str(tmp_path / "report.txt"))
    told = [stored, cluster.command("service-account", "rotate", "query", "--grace-seconds", "60")]
    secrets.note_files()
    shown = run_artstore("config", "show", "--config", str(cluster.data / "artstore.toml"))
    argv = Path(f"/proc/{cluster.process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    cluster.stop()
    log = cluster.log.read_text()

    assert len(secrets) > 14
    assert "client_refused" in log
    assert "request_served" in log
    for answer in answers:
        assert not secrets.leaked_in(answer.body.decode()), answer.body[:300]
        assert not secrets.leaked_in(str(answer.headers))
    assert not secrets.leaked_in(log)
    assert not secrets.leaked_in(argv)
    assert not secrets.leaked_in(shown.stdout + shown.stderr)
    assert not any(secrets.leaked_in(command.stdout + command.stderr) for command in told)


def test_a_secret_that_is_not_usable_is_not_told_either(cluster: Cluster) -> None:
    cluster.stop()
    path = cluster.data / "secrets" / "master-key"
    path.write_text("hunter2hunter2hunter2hunter2-wrong")
    (cluster.data / "secrets" / "client-query").write_text("hunter2hunter2hunter2hunter2-no-colon")

    cluster.spawn()
    cluster.process.wait(60)

    assert cluster.process.returncode == 2
    log = cluster.log.read_text()
    assert "hunter2" not in log
    assert re.search(r"error: .*key", log)

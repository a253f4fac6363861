"""An outside tool reads each role's OpenAPI document and finds no answer that it does not describe."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import OFFSETS, Cluster

CHECKS = ",".join(
    f"{checked}_conformance"
    for checked in ("status_code", "content_type", "response_headers", "response_schema")
)
EXAMPLES = 8


@pytest.mark.parametrize("role", OFFSETS)
def test_no_answer_is_undocumented_and_none_is_500(cluster: Cluster, role: str) -> None:
    seen = len(_served(cluster))

    completed = subprocess.run(
        [
            *_schemathesis(),
            "run",
            cluster.url(role, "/api/v1/openapi.json"),
            f"--header=Authorization: Bearer {cluster.token()}",
            f"--checks={CHECKS}",
            f"--max-examples={EXAMPLES}",
            "--phases=coverage,fuzzing",
            "--generation-database=none",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cluster.data.parent,
    )

    assert completed.returncode == 0, completed.stdout[-6000:]
    requests = _served(cluster)[seen:]
    assert len(requests) > 20
    assert [each for each in requests if each["status"] == 500] == []
    assert "request_crashed" not in cluster.log.read_text()


def _served(cluster: Cluster) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in cluster.log.read_text().split("\n") if line.startswith("{")]
    return [line for line in lines if line.get("event") == "request_served"]


def _schemathesis() -> list[str]:
    found = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert found, "schemathesis is not installed in this environment"
    return [found]

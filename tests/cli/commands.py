"""What the tests of the command line have in common: storing a file, reading a failure."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from tests.cluster import Cluster


def put(cluster: Cluster, *arguments: str | Path) -> dict[str, Any]:
    """``artstore put --json``; its report."""
    completed = cluster.command("put", "--json", *map(str, arguments))
    report: dict[str, Any] = json.loads(completed.stdout)
    return report


def put_one(cluster: Cluster, path: Path, *options: str) -> str:
    """Put one new file; its id."""
    [stored] = put(cluster, path, *options)["stored"]
    return str(stored["file_id"])


def store(cluster: Cluster, path: Path, **attributes: Any) -> str:
    """Store a file over HTTP, for tests of other commands than `put`; its id."""
    described = UploadAttributes(original_filename=path.name, **attributes).encode_header()
    answer = cluster.request(
        "ingester", "POST", "/api/v1/files", body=path.read_bytes(), headers={ATTRIBUTES_HEADER: described}
    )
    assert answer.status == 201, answer
    return str(answer.json()["file_id"])


def failure(completed: "CompletedProcess[str]", *, code: int) -> str:
    """The one line that a failed command prints, which is all that it prints."""
    assert completed.returncode == code, completed.stdout + completed.stderr
    assert completed.stdout == ""
    [line] = completed.stderr.splitlines()
    assert line.startswith("error: ")
    return line

"""What the tests of the command line have in common: putting a file, reading a failure."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

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


def failure(completed: "CompletedProcess[str]", *, code: int) -> str:
    """The one line that a failed command prints, which is all that it prints."""
    assert completed.returncode == code, completed.stdout + completed.stderr
    assert completed.stdout == ""
    [line] = completed.stderr.splitlines()
    assert line.startswith("error: ")
    return line

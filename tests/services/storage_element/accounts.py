"""What an element has recorded of its files, compared with what became of them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.services.storage_element.harness import SPOOL


def recorded(data: Path) -> Iterator[dict[str, Any]]:
    """Every record of the element below ``data``, of which none has been shipped."""
    for path in sorted((data / SPOOL).glob("*/*.jsonl")):
        yield from map(json.loads, path.read_bytes().splitlines())


def changes_of(data: Path, file_id: str) -> set[str]:
    """Ids of the changes of a file that were made, as the records tell. Each has its actor."""
    found = set[str]()
    for record in recorded(data):
        is_done = record["outcome"] == "succeeded" or record.get("detail", {}).get("settled") == "committed"
        if "change" in record and is_done and file_id in record["resource"]:
            assert record["actor"]["client_id"]
            found.add(record["change"])
    return found


def assert_recorded(data: Path, placed: Iterable[Path]) -> None:
    """Each version of a file is one change, and has a record."""
    for path in placed:
        if path.name.endswith(".attr.json"):
            sidecar = json.loads(path.read_bytes())
            changes = changes_of(data, sidecar["file_id"])
            assert len(changes) == sidecar["version"], (sidecar, changes)

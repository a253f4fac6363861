"""Links out of the root, put by somebody else: nothing behind them is read, written or deleted."""

import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement
from tests.services.storage_element.sweeps import LOGS

SIZES: Final = {"small": 1000, "large": 300_000}
"""By way of memory, and of the kernel."""


class Outside:
    """A directory outside the root, and all that is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def content(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }

    def take(self, path: Path) -> None:
        """Move a file or directory here, and leave a link to it."""
        moved = self.path / path.name
        path.rename(moved)
        path.symlink_to(moved)
        for file in [moved, *moved.rglob("*")]:
            if file.is_file():
                # Whoever reads it, or puts another in its place, gives himself away.
                file.write_bytes(b"\x00" * file.stat().st_size)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


async def files_of(element: ElementClient, stored: dict[str, Any]) -> tuple[Path, Path]:
    """Data and sidecar, in their places."""
    await element.placed_files()
    data = element.root / stored["storage_path"] / stored["storage_filename"]
    return data, data.with_name(f"{data.name}.attr.json")


@pytest.fixture(params=LOGS)
async def element(request: pytest.FixtureRequest, start: StartElement) -> AsyncGenerator[ElementClient, None]:
    storage = {"type": "local", "root": "storage", "commit_log_size": LOGS[request.param]}
    # No hour ends in the middle of a test.
    async with start(clock=FakeClock(), storage=storage) as element:
        yield element


REACHED: Final[dict[str, Callable[[Path, Path], Path]]] = {
    "data": lambda data, _: data,
    "sidecar": lambda _, sidecar: sidecar,
    "hour": lambda data, _: data.parent,
    "year": lambda data, _: data.parents[3],
}
"""What is exchanged for a link."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("exchanged", REACHED)
async def test_nothing_behind_a_link_is_read_written_or_deleted(
    element: ElementClient, outside: Outside, exchanged: str, size: str
) -> None:
    content = os.urandom(SIZES[size])
    stored = await element.stored(content, **TEMPORARY)
    url = f"/api/v1/files/{stored['file_id']}"
    outside.take(REACHED[exchanged](*await files_of(element, stored)))
    before = outside.content()

    download = await element.request("GET", f"{url}/download")
    part = await element.request("GET", f"{url}/download", headers={"Range": "bytes=0-9"})
    changed = await element.request("PATCH", url, json={"description": "changed"})
    again = await element.put(os.urandom(SIZES[size]))
    deleted = await element.request("DELETE", url)
    report = await element.request("POST", "/api/v1/gc", json={"dry_run": False})

    assert outside.content() == before
    is_whole = exchanged == "sidecar"
    assert (download.status, part.status) == ((200, 206) if is_whole else (500, 500))
    assert download.body == content or download.problem == "corrupted"
    reachable = exchanged in ("data", "sidecar")
    assert [each.status for each in (changed, again, deleted)] == (
        [200, 201, 200] if reachable else [503, 503, 503]
    )
    assert reachable or "symbolic link" in again.json()["detail"]
    assert report.status == 200

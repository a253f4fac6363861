"""A rebuild of thousands of sidecars, killed in the middle, goes on, and says the same in the end."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from artstore.core.attributes import FileAttributes
from artstore.core.ids import new_file_id
from artstore.core.naming import storage_name
from artstore.core.testing import IssuerServer
from tests.services.admin.harness import eventually
from tests.services.storage_element.harness import CATALOG_PATH, ElementClient, sha256
from tests.services.storage_element.processes import element_process, start_child
from tests.services.storage_element.test_online_rebuild import ended, start_rebuild

FILES: Final = 3000
"""Six batches of sidecars."""

SLOWLY: Final = ("nice", "-n", "19")
"""Lets who looks on see every batch."""

ADOPTING: Final = {"mode": "edit", "adopt_root": True}
"""It finds the files in a root that no element has made."""

CONTENT: Final = b"content"
DIGEST: Final = sha256(CONTENT)


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, str]:
    """Thousands of files in a root; the digest of the sidecar of each."""
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    return dict(put_file(tmp_path / "storage", number, now) for number in range(FILES))


def put_file(root: Path, number: int, now: datetime) -> tuple[str, str]:
    file_id = new_file_id()
    created_at = now.replace(hour=number % 24)
    name = storage_name(f"{number}.txt", username="anna", created_at=created_at, file_id=file_id)
    attributes = FileAttributes(
        file_id=file_id,
        original_filename=f"{number}.txt",
        storage_filename=name.filename,
        storage_path=name.directory,
        file_size=len(CONTENT),
        checksum=DIGEST,
        created_at=created_at,
        updated_at=created_at,
        created_by_id="1",
        created_by_username="anna",
    )
    data = root / attributes.storage_key
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_bytes(CONTENT)
    data.with_name(f"{data.name}.attr.json").write_bytes(attributes.to_json())
    return str(file_id), attributes.digest


async def described(element: ElementClient) -> dict[str, str]:
    """The digest of the sidecar of every file, as the journal tells it."""
    found: dict[str, str] = {}
    position, has_more = 0, True
    while has_more:
        page = await element.get("/api/v1/journal", after=position, limit=1000)
        found |= {entry["file_id"]: entry["attributes_digest"] for entry in page["items"]}
        position, has_more = page["items"][-1]["sequence"], page["has_more"]
    return found


def sidecars_read(data: Path) -> int | None:
    """How many sidecars the rebuild under way in a catalog has read, if there is one to be looked at."""
    try:
        with closing(sqlite3.connect(f"file:{data / CATALOG_PATH}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT state FROM catalog_work WHERE name = 'rebuild'").fetchall()
    except sqlite3.OperationalError:  # there is no such catalog, or no such table, yet; or it is locked
        return None
    found = [json.loads(state)["status"] for (state,) in rows]
    return next((int(status["sidecars"]) for status in found if status["state"] == "running"), None)


async def killed_beyond(data: Path, sidecars: int, kill: Callable[[], Awaitable[object]]) -> int:
    """Kill as soon as more sidecars have been read; how many then. Never have been less."""

    async def has_more() -> bool:
        read = sidecars_read(data)
        assert read is None or read >= sidecars, "it began again"
        return read is not None and read > sidecars

    await eventually(has_more, pause=0.005)
    await kill()
    return sidecars_read(data) or 0


async def killed_at_start(data: Path, jwks_url: str, sidecars: int) -> int:
    """As :func:`killed_beyond`, of an element that begins to start now."""
    process = await start_child(data, jwks_url, launcher=SLOWLY, sections={"element": ADOPTING})

    async def kill() -> None:
        process.kill()
        await process.wait()

    return await killed_beyond(data, sidecars, kill)


async def test_a_rebuild_before_serving_that_is_killed_twice_goes_on_and_says_the_same(
    issuer: IssuerServer, tmp_path: Path, archive: dict[str, str]
) -> None:
    first = await killed_at_start(tmp_path, issuer.jwks_url, 0)
    second = await killed_at_start(tmp_path, issuer.jwks_url, first)

    async with element_process(tmp_path, issuer.jwks_url, element=ADOPTING) as process:
        assert await described(process.client) == archive
    assert 0 < first < second < FILES


async def test_a_rebuild_beside_what_serves_that_is_killed_twice_goes_on_and_says_the_same(
    issuer: IssuerServer, tmp_path: Path, archive: dict[str, str]
) -> None:
    async with element_process(tmp_path, issuer.jwks_url, launcher=SLOWLY, element=ADOPTING) as process:
        epoch = (await process.client.get("/api/v1/info"))["epoch"]
        await start_rebuild(process.client)
        first = await killed_beyond(tmp_path, 0, process.kill)
    second = await killed_at_start(tmp_path, issuer.jwks_url, first)

    async with element_process(tmp_path, issuer.jwks_url, element=ADOPTING) as process:
        status = await ended(process.client)

        assert (status["state"], status["sidecars"], status["files"]) == ("done", FILES, FILES)
        assert (await process.client.get("/api/v1/info"))["epoch"] == status["epoch"] != epoch
        assert await described(process.client) == archive
    assert 0 < first < second < FILES

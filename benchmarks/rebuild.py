"""A catalog built from its sidecars, against merely listing, reading, hashing and parsing the same ones."""

import asyncio
import hashlib
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from artstore.core import registry as kinds
from artstore.core.config import ElementSettings, PluginSection
from artstore.core.ids import new_file_id
from artstore.core.inspection import RebuildStatus
from artstore.core.metrics import Metrics
from artstore.core.naming import storage_name
from artstore.core.registry import Registry
from artstore.core.secrets import SecretsChain
from artstore.services.storage_element.catalog_schema import read_meta
from artstore.services.storage_element.identity import RootIdentity, open_identity
from artstore.services.storage_element.rebuild import build_before_serving
from benchmarks.comparison import Contender, Sample, compare
from benchmarks.processes import in_child
from benchmarks.sidecars import typical
from benchmarks.workplace import Workplace

FILES_PER_HOUR: Final = 1000
FIRST_HOUR: Final = datetime(2026, 1, 1, tzinfo=UTC)


def run(place: Workplace) -> None:
    files = place.scale.indexed_files
    root = place.directory / "root"
    write_files(root, files)
    compare(
        f"A catalog of {files:,} files from their sidecars, on one core at most for each step",
        unit="sidecar",
        limit=Contender("list, read, hash and parse, one thread", lambda: in_child(read_bare, root)),
        contenders=[Contender("rebuild", lambda: in_child(rebuild, root, place.directory / "catalog.db"))],
        repeats=place.scale.repeats,
        settle=lambda: None,
    )


def write_files(root: Path, files: int) -> None:
    """Files of a few bytes with typical sidecars, ``FILES_PER_HOUR`` in each directory."""
    model = typical()
    for number in range(files):
        now = FIRST_HOUR + timedelta(hours=number // FILES_PER_HOUR)
        file_id = new_file_id()
        name = storage_name(model.original_filename, username="accounting", created_at=now, file_id=file_id)
        data = f"file {number}".encode()
        update = {
            "file_id": file_id,
            "storage_filename": name.filename,
            "storage_path": name.directory,
            "file_size": len(data),
            "checksum": hashlib.sha256(data).hexdigest(),
            "created_at": now,
            "updated_at": now,
        }
        if number % FILES_PER_HOUR == 0:
            (root / name.directory).mkdir(parents=True)
        (root / name.key).write_bytes(data)
        (root / name.sidecar_key).write_bytes(model.model_copy(update=update).to_json())


def read_bare(root: Path) -> Sample:
    """Sidecars per second."""
    sidecars = 0
    cpu, started = time.process_time(), time.perf_counter()
    for directory, _, names in os.walk(root):
        for name in sorted(names):
            if name.endswith(".attr.json"):
                with open(f"{directory}/{name}", "rb", buffering=0) as file:
                    raw = file.read()
                hashlib.sha256(raw).hexdigest()
                json.loads(raw)
                sidecars += 1
    return _sample(sidecars, started=started, cpu=cpu)


def rebuild(root: Path, catalog: Path) -> Sample:
    """Sidecars per second into a catalog that is new."""
    for path in catalog.parent.glob(f"{catalog.name}*"):
        path.unlink()
    plugins = Registry(base_directory=root.parent)
    storage = PluginSection.model_validate({"type": "local", "root": str(root)})
    database = PluginSection.model_validate({"type": "sqlite", "path": str(catalog), "synchronous": "normal"})
    plugins.provider(kinds.STORAGE, storage.type)
    plugins.provider(kinds.METADATA, database.type)
    return asyncio.run(_rebuild(plugins, storage, database))


async def _rebuild(plugins: Registry, storage: PluginSection, database: PluginSection) -> Sample:
    metrics, secrets = Metrics(role="element"), SecretsChain()
    async with (
        plugins.open(kinds.STORAGE, storage, secrets=secrets, metrics=metrics) as opened,
        plugins.open(kinds.METADATA, database, secrets=secrets, metrics=metrics) as catalog,
    ):
        sidecars = 0
        await read_meta(catalog)
        root = RootIdentity(opened, await open_identity(opened, ElementSettings()))

        def note(status: RebuildStatus) -> None:
            nonlocal sidecars
            sidecars = status.sidecars

        cpu, started = time.process_time(), time.perf_counter()
        await build_before_serving(opened, catalog, root, report=note)
        return _sample(sidecars, started=started, cpu=cpu)


def _sample(sidecars: int, *, started: float, cpu: float) -> Sample:
    seconds = time.perf_counter() - started
    return Sample(rate=sidecars / seconds, cpu=(time.process_time() - cpu) / sidecars)

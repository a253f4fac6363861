"""The amnesia drill: databases are taken away, built again from the storage alone, and compared."""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from artstore.cli.composition import make_app
from artstore.cli.directory import ASIDE, require_no_drill
from artstore.cli.output import count_progress
from artstore.core import registry as kinds
from artstore.core.config import PluginSection, RoleName, Settings
from artstore.core.keys import DATABASE, STOPPING
from artstore.core.metrics import Metrics
from artstore.core.registry import Registry
from artstore.core.secrets import SecretsChain
from artstore.core.server import Listener, bound
from artstore.core.spec import ConfigurationError, Database, Row, UnavailableError
from artstore.core.stores.files import FilesStore
from artstore.core.stores.rows import text
from artstore.services.storage_element.keys import ELEMENT

COMPANIONS: Final = ("", "-wal", "-shm")
POLL_INTERVAL: Final = 0.2
PATIENCE: Final = 60.0
"""Seconds for which the index may make no progress."""

ROLES: Final[Sequence[RoleName]] = ("element", "admin")
GRACE: Final = 5.0
MAX_DIFFERENCES: Final = 20

_CATALOG: Final = "SELECT file_id, attributes_digest, status FROM catalog_files ORDER BY file_id"
_INDEX: Final = (
    "SELECT file_id, attributes_digest, 'active' AS status FROM files WHERE element_id = :element_id"
    " ORDER BY file_id"
)


class Memory(BaseModel):
    """What the databases know. ``digest`` is SHA-256 over the id and the digest of the sidecar of every file
    in the catalog, deleted ones included; ``index_digest`` the same over those in the index.
    """

    files: int
    deleted: int
    indexed: int
    digest: str
    index_digest: str


class AmnesiaReport(BaseModel):
    """What the databases knew before, and what they know after they were built from the storage alone."""

    before: Memory
    after: Memory
    catalog_seconds: float
    index_seconds: float
    sidecars_per_second: float
    files_per_second: float
    is_equal: bool
    differences: Sequence[str]


class Drill:
    """One drill on the directory of a stopped cluster.

    Raises:
        ConfigurationError: a database is no file of this machine, or an earlier drill was interrupted.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aside = settings.base_directory / ASIDE
        self._databases = {
            "catalog": _path(settings, "catalog", settings.catalog),
            "metadata": _path(settings, "metadata", settings.metadata),
        }

    async def run(self) -> AmnesiaReport:
        """Take the databases away and back.

        Raises:
            ConfigurationError: the cluster runs, or cannot be started.
            UnavailableError: the index does not follow the element.
        """
        require_no_drill(self._settings.base_directory)
        await self._rebuild("looking at the databases")
        before = await self._remember()
        self._move_aside()
        try:
            catalog_seconds, index_seconds = await self._rebuild("building them again")
            after = await self._remember()
        except BaseException:
            self.undo()
            raise
        differences = _differences(before, after)
        self.undo(names=("metadata",) if not differences else ("catalog", "metadata"))
        return _report(before, after, differences, catalog_seconds, index_seconds)

    def undo(self, names: Sequence[str] = ("catalog", "metadata")) -> list[str]:
        """Put the databases back and leave nothing aside; which there were."""
        put_back: list[str] = []
        for name in names:
            path = self._databases[name]
            if (self._aside / name / path.name).exists():
                _move(self._aside / name, path.name, path.parent)
                put_back.append(name)
        if self._aside.exists():
            shutil.rmtree(self._aside)
        return put_back

    def _move_aside(self) -> None:
        for name, path in self._databases.items():
            (self._aside / name).mkdir(mode=0o700, parents=True)
            _move(path.parent, path.name, self._aside / name)

    async def _rebuild(self, what: str) -> tuple[float, float]:
        """Run the roles until the index has all that the element says; how many seconds each took."""
        started = time.perf_counter()
        async with self._running() as (element, admin):
            catalog_seconds = time.perf_counter() - started
            catalog = element[ELEMENT].catalog
            store = FilesStore(admin[DATABASE])
            with count_progress(what, "entries") as progress:
                await self._follow(
                    store,
                    epoch=catalog.epoch,
                    last=catalog.last_sequence,
                    show=lambda done: progress.show(done, expected=catalog.last_sequence),
                )
        return catalog_seconds, time.perf_counter() - started - catalog_seconds

    async def _follow(self, store: FilesStore, *, epoch: str, last: int, show: Callable[[int], None]) -> None:
        seen, since = 0, time.monotonic()
        while True:
            position = await store.position(self._settings.element.element_id)
            done = position.sequence if position is not None and position.epoch == epoch else 0
            show(done)
            if position is not None and position.epoch == epoch and done >= last:
                return
            if done > seen:
                seen, since = done, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise UnavailableError(
                    f"the index does not follow the element: for {PATIENCE:g} s it is at {done} of {last}"
                )
            await asyncio.sleep(POLL_INTERVAL)

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[tuple[web.Application, web.Application], None]:
        settings = self._settings
        apps: list[web.Application] = []
        async with AsyncExitStack() as stack:
            for role in ROLES:
                app = await asyncio.to_thread(make_app, role, settings)
                listener = Listener(role, app, settings.role(role).host, settings.port(role))
                server = await stack.enter_async_context(bound(listener))
                stack.push_async_callback(server.stop, grace_period=GRACE)
                stack.callback(app[STOPPING].set)
                await server.start()
                apps.append(app)
            yield apps[0], apps[1]

    async def _remember(self) -> "_Memory":
        element_id = self._settings.element.element_id
        async with _opened(self._settings, self._settings.catalog) as database:
            catalog = await database.fetch_all(_CATALOG)
        async with _opened(self._settings, self._settings.metadata) as database:
            index = await database.fetch_all(_INDEX, {"element_id": element_id})
        return _Memory(catalog, index)


class _Memory:
    """The digests themselves, by file."""

    def __init__(self, catalog: Sequence[Row], index: Sequence[Row]) -> None:
        self.catalog = _by_file(catalog)
        self.index = _by_file(index)
        deleted = sum(row["status"] == "deleted" for row in catalog)
        self.summary = Memory(
            files=len(catalog) - deleted,
            deleted=deleted,
            indexed=len(index),
            digest=_digest(self.catalog),
            index_digest=_digest(self.index),
        )


def _by_file(rows: Sequence[Row]) -> dict[str, str]:
    return {text(row, "file_id"): text(row, "attributes_digest") for row in rows}


def _digest(digests: Mapping[str, str]) -> str:
    """Whoever has the storage can compute it with ``sha256sum``: a line for each file, in order."""
    lines = "".join(f"{file_id} {digest}\n" for file_id, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _differences(before: _Memory, after: _Memory) -> list[str]:
    """The first files of which the databases say something else."""
    told: list[str] = []
    for name in ("catalog", "index"):
        old: dict[str, str] = getattr(before, name)
        new: dict[str, str] = getattr(after, name)
        for file_id in sorted(file_id for file_id in {*old, *new} if old.get(file_id) != new.get(file_id)):
            told.append(f"{file_id} in the {name}: {_change(old.get(file_id), new.get(file_id))}")
    return told[:MAX_DIFFERENCES]


def _change(old: str | None, new: str | None) -> str:
    if new is None:
        return "the storage does not know it"
    return "only the storage knew it" if old is None else "its sidecar is another"


def _report(
    before: _Memory,
    after: _Memory,
    differences: Sequence[str],
    catalog_seconds: float,
    index_seconds: float,
) -> AmnesiaReport:
    sidecars = after.summary.files + after.summary.deleted
    return AmnesiaReport(
        before=before.summary,
        after=after.summary,
        catalog_seconds=catalog_seconds,
        index_seconds=index_seconds,
        sidecars_per_second=sidecars / catalog_seconds,
        files_per_second=sidecars / (catalog_seconds + index_seconds),
        is_equal=not differences,
        differences=differences,
    )


def _path(settings: Settings, name: str, section: PluginSection) -> Path:
    """The file of a database.

    Raises:
        ConfigurationError: it is none.
    """
    path = section.options.get("path")
    if section.type != "sqlite" or not isinstance(path, str):
        raise ConfigurationError(
            f"[{name}] is no file of this machine but {section.type}: the drill would have to delete what "
            f"others may use; back it up and try it out by hand (docs/how-to/rebuild-databases.md)"
        )
    return settings.base_directory / path


def _move(source: Path, name: str, target: Path) -> None:
    """A database with its companions; what was at the target goes."""
    for suffix in COMPANIONS:
        (target / f"{name}{suffix}").unlink(missing_ok=True)
        if (source / f"{name}{suffix}").exists():
            shutil.move(source / f"{name}{suffix}", target / f"{name}{suffix}")


@asynccontextmanager
async def _opened(settings: Settings, section: PluginSection) -> AsyncGenerator[Database, None]:
    plugins = Registry(base_directory=settings.base_directory)
    await asyncio.to_thread(plugins.provider, kinds.METADATA, section.type)
    async with plugins.open(
        kinds.METADATA, section, secrets=SecretsChain(), metrics=Metrics(role="drill")
    ) as database:
        yield database

"""The identity of a root: who it belongs to, its mode, and how a person reads it without ArtStore."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attribute_fields import Timestamp
from artstore.core.config import ElementSettings
from artstore.core.logging import get_logger
from artstore.core.modes import Mode
from artstore.core.naming import SIDECAR_SUFFIX, parse
from artstore.core.spec import (
    ConfigurationError,
    CorruptedError,
    Database,
    InsufficientStorageError,
    NotFoundError,
    StorageBackend,
    UnavailableError,
)
from artstore.services.storage_element.catalog_schema import read_meta
from artstore.services.storage_element.guide import GUIDE
from artstore.services.storage_element.small_objects import put_small, read_small

IDENTITY_KEY: Final = "element.json"
GUIDE_KEY: Final = "ARTSTORE.md"
FORMAT_VERSION: Final = 1
_MODE_HINT: Final = "the root knows its mode: `artstore element mode` changes it, the configuration does not"
_GONE: Final = f"the storage has not the {IDENTITY_KEY} that was there at start: is its medium still mounted?"
_log = get_logger("element")


class ModePeriod(BaseModel):
    """Since when the element is in a mode, and who wanted that why; the first mode is the configured one.

    ``transition`` is the SHA-256 of the token that confirmed it: who repeats that is told so.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    mode: Mode
    since: Timestamp
    by: str | None = None
    on_behalf_of: str | None = None
    reason: str | None = None
    transition: str | None = None


class Identity(BaseModel):
    """What ``element.json`` says. What a newer release added to it is kept."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    format_version: int
    element_id: str
    created_at: Timestamp
    mode: Mode
    mode_history: list[ModePeriod]
    starts: Annotated[int, Field(ge=0, description="How often an element began to serve this root.")]


async def open_identity(storage: StorageBackend, settings: ElementSettings) -> Identity:
    """The identity of the root, which is made when it has none.

    Raises:
        ConfigurationError: the root is another element's, of a newer format, or its identity is damaged.
    """
    identity = await read_identity(storage, settings) or await _create(storage, settings)
    if "mode" in settings.model_fields_set and settings.mode != identity.mode:
        _log.warning("configured_mode_ignored", configured=settings.mode, mode=identity.mode, hint=_MODE_HINT)
    return identity


async def require_known_root(storage: StorageBackend, catalog: Database, settings: ElementSettings) -> None:
    """Refuse a storage without a root where there must be one: a medium that is not mounted looks empty, and
    one that has lost its identity has lost its mode.

    Raises:
        ConfigurationError: as :func:`open_identity`, or there is no root, and it is required or known, or the
            storage has files and nobody says that it is to be adopted.
    """
    if await read_identity(storage, settings) is not None:
        return
    if settings.require_root:
        raise ConfigurationError(
            f"the storage root has no {IDENTITY_KEY}: mount its medium, or to begin a new root unset "
            f"require_root in [element]"
        )
    if (key := await _first_file(storage)) is not None:
        _require_adoption(settings, key)
    elif (await read_meta(catalog)).get("element_id") == settings.element_id:
        raise ConfigurationError(
            f"the storage root has no {IDENTITY_KEY}, but the catalog knows the files of element "
            f"{settings.element_id}: mount its medium or restore that file, or delete the catalog to begin a "
            f"new root"
        )


async def _first_file(storage: StorageBackend) -> str | None:
    """Something that an element has stored, if anything."""
    async for info in storage.list():
        if info.key.endswith(SIDECAR_SUFFIX) or parse(info.key.rpartition("/")[2]) is not None:
            return info.key
    return None


def _require_adoption(settings: ElementSettings, key: str) -> None:
    """The mode was lost, too: it has to be said, lest an archive that was closed opens by a default."""
    if settings.adopt_root and "mode" in settings.model_fields_set:
        _log.warning("root_adopted", file=key, mode=settings.mode)
        return
    raise ConfigurationError(
        f"the storage root has files, such as {key}, but no {IDENTITY_KEY}: restore that file from a copy, "
        f"or set in [element] the mode that the root had and adopt_root = true"
    )


async def read_identity(storage: StorageBackend, settings: ElementSettings) -> Identity | None:
    """The identity of the root; ``None`` when it has none yet.

    Raises:
        ConfigurationError: as :func:`open_identity`.
    """
    try:
        raw = await read_small(storage, IDENTITY_KEY)
    except NotFoundError:
        return None
    identity = _parse(raw)
    if identity.element_id != settings.element_id:
        raise ConfigurationError(
            f"the storage root belongs to element {identity.element_id}, not to {settings.element_id}: "
            f"set element_id in [element] to {identity.element_id}, or choose another root in [storage]"
        )
    return identity


class RootIdentity:
    """The identity of a root that is served: what ``element.json`` says now. Only this writes it."""

    def __init__(self, storage: StorageBackend, identity: Identity) -> None:
        self._storage = storage
        self._now = identity

    @property
    def now(self) -> Identity:
        return self._now

    async def count_start(self) -> None:
        """Note, durably, that an element begins to serve this root.

        A full disk does not keep it from serving what is there: then only an older copy of the catalog that
        somebody put back since would not be told from the present one.
        """
        try:
            await self._replace(self._now.model_copy(update={"starts": self._now.starts + 1}))
        except InsufficientStorageError as error:
            _log.warning("start_not_counted", reason=error.detail)

    async def enter(self, period: ModePeriod) -> None:
        """Be in another mode from now on, durably."""
        history = [*self._now.mode_history, period]
        await self._replace(self._now.model_copy(update={"mode": period.mode, "mode_history": history}))

    async def reread(self) -> Identity:
        """What the storage has, after a failure that does not tell; it is what counts.

        Raises:
            CorruptedError: it is damaged.
        """
        try:
            self._now = _parse(await read_small(self._storage, IDENTITY_KEY))
        except (ConfigurationError, NotFoundError) as error:
            raise CorruptedError(f"the identity of the root cannot be read: {error}") from error
        return self._now

    async def require_present(self) -> None:
        """Make sure that the storage still has this root, before conclusions are drawn from what it lacks.

        Raises:
            UnavailableError: it has none, or another: a medium may no longer be mounted.
        """
        identity = await require_root(self._storage)
        if identity.created_at != self._now.created_at or identity.element_id != self._now.element_id:
            raise UnavailableError(_GONE)

    async def _replace(self, identity: Identity) -> None:
        await _put(self._storage, identity)
        self._now = identity


async def require_root(storage: StorageBackend) -> Identity:
    """What ``storage`` says whose root it is.

    Raises:
        UnavailableError: it says nothing: it is away, or its medium is no longer mounted.
    """
    try:
        return _parse(await read_small(storage, IDENTITY_KEY))
    except (ConfigurationError, NotFoundError) as error:
        raise UnavailableError(_GONE) from error


def _parse(raw: bytes) -> Identity:
    try:
        identity = Identity.model_validate_json(raw)
    except ValidationError:
        raise ConfigurationError(
            f"{IDENTITY_KEY} in the storage root is damaged: restore it from a copy of the root"
        ) from None
    if identity.format_version > FORMAT_VERSION:
        raise ConfigurationError(
            f"the storage root has format {identity.format_version}, this release knows {FORMAT_VERSION}: "
            f"install a newer release"
        )
    return identity


async def _create(storage: StorageBackend, settings: ElementSettings) -> Identity:
    """The guide first: a root with an identity is complete."""
    now = datetime.now(UTC)
    identity = Identity(
        format_version=FORMAT_VERSION,
        element_id=settings.element_id,
        created_at=now,
        mode=settings.mode,
        mode_history=[ModePeriod(mode=settings.mode, since=now)],
        starts=0,
    )
    await put_small(storage, GUIDE_KEY, GUIDE.encode())
    await _put(storage, identity)
    _log.info("root_created", element_id=identity.element_id, mode=identity.mode)
    return identity


async def _put(storage: StorageBackend, identity: Identity) -> None:
    """People read it too."""
    await put_small(
        storage, IDENTITY_KEY, f"{identity.model_dump_json(indent=2, exclude_none=True)}\n".encode()
    )

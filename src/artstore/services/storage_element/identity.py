"""The identity of a root: who it belongs to, its mode, and how a person reads it without ArtStore."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attribute_fields import Timestamp
from artstore.core.config import ElementSettings
from artstore.core.logging import get_logger
from artstore.core.modes import Mode
from artstore.core.spec import ConfigurationError, InsufficientStorageError, NotFoundError, StorageBackend
from artstore.services.storage_element.guide import GUIDE
from artstore.services.storage_element.small_objects import put_small, read_small

IDENTITY_KEY: Final = "element.json"
GUIDE_KEY: Final = "ARTSTORE.md"
FORMAT_VERSION: Final = 1
_log = get_logger("element")


class ModePeriod(BaseModel):
    """Since when the element is in a mode."""

    model_config = ConfigDict(frozen=True)

    mode: Mode
    since: Timestamp


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
    try:
        raw = await read_small(storage, IDENTITY_KEY)
    except NotFoundError:
        return await _create(storage, settings)
    identity = _parse(raw)
    if identity.element_id != settings.element_id:
        raise ConfigurationError(
            f"the storage root belongs to element {identity.element_id}, not to {settings.element_id}: "
            f"set element_id in [element] to {identity.element_id}, or choose another root in [storage]"
        )
    return identity


async def count_start(storage: StorageBackend, identity: Identity) -> Identity:
    """Note, durably, that an element begins to serve this root.

    A full disk does not keep it from serving what is there: then only an older copy of the catalog that
    somebody put back since would not be told from the present one.
    """
    started = identity.model_copy(update={"starts": identity.starts + 1})
    try:
        await _put(storage, started)
    except InsufficientStorageError as error:
        _log.warning("start_not_counted", reason=error.detail)
        return identity
    return started


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
    await put_small(storage, IDENTITY_KEY, f"{identity.model_dump_json(indent=2)}\n".encode())

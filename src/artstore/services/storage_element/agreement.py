"""Whether the storage has the sidecar that the catalog knows: asked before another takes its place."""

from contextlib import suppress
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.logging import get_logger
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import (
    AlreadyExistsError,
    CorruptedError,
    NotFoundError,
    SidecarDiffersError,
    StorageBackend,
    UnsupportedError,
)
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_records import Committed
from artstore.services.storage_element.sidecars import Unusable, to_sidecar
from artstore.services.storage_element.small_objects import read_small

_log: Final = get_logger("element")


async def require_usable(catalog: Catalog, file_id: UUID) -> None:
    """Tell a file that is not there from one of which nobody can tell.

    Raises:
        CorruptedError: there is a sidecar of this id, but it could not be used.
    """
    for key, reason in (await catalog.unusable(file_id)).items():
        raise CorruptedError(f"file {file_id} is not known, since {key} could not be used: {reason}")


async def require_free(catalog: Catalog, storage: StorageBackend, file_id: UUID) -> None:
    """Give no id again whose file is only out of sight: when its sidecar is restored, both would claim it.

    Raises:
        AlreadyExistsError: there is a sidecar of this id, but it could not be used.
    """
    for key, reason in (await catalog.unusable(file_id)).items():
        with suppress(NotFoundError):
            await storage.head(key)
            raise AlreadyExistsError(
                f"file {file_id} exists, but {key} could not be used: {reason}; restore it, or take a new id"
            )


async def agreed(storage: StorageBackend, known: Committed) -> FileAttributes | None:
    """What the sidecar says, which is what is ``known``; ``None`` when it is gone or says nothing.

    Raises:
        SidecarDiffersError: it says something else: a hold, perhaps, that the catalog never heard of.
        ArtStoreError: it cannot be read now.
    """
    key = known.change.key + SIDECAR_SUFFIX
    try:
        read = to_sidecar(await read_small(storage, key), key)
    except (NotFoundError, CorruptedError, UnsupportedError) as error:
        _log.warning("sidecar_says_nothing", key=key, reason=error.detail)
        return None
    if isinstance(read, Unusable):
        _log.warning("sidecar_says_nothing", key=key, reason=read.reason)
        return None
    if read.change.digest != known.change.digest:
        raise SidecarDiffersError(
            known.change.file_id, version=read.attributes.version, known=known.attributes.version
        )
    return read.attributes

"""Whether the sidecar that the storage has is the one that the catalog knows: asked before another takes its
place.
"""

from typing import Final

from artstore.core.attributes import FileAttributes
from artstore.core.logging import get_logger
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import (
    CorruptedError,
    NotFoundError,
    SidecarDiffersError,
    StorageBackend,
    UnsupportedError,
)
from artstore.services.storage_element.catalog_records import Committed
from artstore.services.storage_element.sidecars import Unusable, to_sidecar
from artstore.services.storage_element.small_objects import read_small

_log: Final = get_logger("element")


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

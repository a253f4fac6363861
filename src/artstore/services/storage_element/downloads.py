"""Serves the data of a file, or says that it is damaged; never anything else in its place."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from aiohttp import web

from artstore.core.http.downloads import serve_download
from artstore.core.http.representation import Representation
from artstore.core.modes import MODE_TABLE
from artstore.core.spec import (
    ByteRange,
    CorruptedError,
    NotFoundError,
    RangeNotSatisfiableError,
    StorageReader,
)
from artstore.services.storage_element.archive import answer_from_archive
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.fixity_evidence import condemn
from artstore.services.storage_element.fixity_records import Subject, Verdict


async def download(request: web.Request, element: Element, file_id: UUID) -> web.StreamResponse:
    """Answer GET or HEAD of the data; in an archive, with where they are restored, or that they will be.

    Raises:
        ModeNotAllowedError: the data must be restored first.
        NotFoundError: there is no such file.
        CorruptedError: its data is missing, or has another size or, where all of it was asked for, digest;
            or a check found that before.
        UnavailableError: the storage has nothing at all any more.
    """
    if MODE_TABLE[element.mode].reads_restored:
        return await answer_from_archive(request, element, file_id)
    with element.performing("read"):
        return await _serve(request, element, file_id)


async def _serve(request: web.Request, element: Element, file_id: UUID) -> web.StreamResponse:
    known = await element.existing(file_id)
    element.fixity.require_good(file_id)
    attributes = known.attributes
    key = known.change.key
    subject = Subject(file_id, key, attributes.file_size, attributes.checksum)

    @asynccontextmanager
    async def opened(byte_range: ByteRange | None) -> AsyncGenerator[StorageReader, None]:
        try:
            async with element.storage.get(key, byte_range=byte_range) as reader:
                yield reader
        except RangeNotSatisfiableError as error:
            raise CorruptedError("the stored file is shorter than it was") from error

    paths = element.storage.capabilities.local_paths
    served = Representation(
        size=attributes.file_size,
        sha256=attributes.checksum,
        content_type=attributes.content_type,
        filename=attributes.original_filename,
        modified_at=attributes.created_at,
        open=opened,
        open_file=None if paths is None else partial(paths.open, key),
        open_cached=None if paths is None else partial(paths.open_cached, key),
        verified=element.verified,
    )
    try:
        return await serve_download(request, served)
    except NotFoundError:
        await element.root.require_present()
        why = Verdict(subject, "missing", 0, detail="the storage does not have its data")
    except CorruptedError as error:
        why = Verdict(subject, "damaged", 0, detail=error.detail)
    await condemn(element, why)
    raise CorruptedError(f"file {file_id} is {why.outcome}: {why.detail}")

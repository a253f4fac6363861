"""Whether the archive has a local file already, and still has the bytes of it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

from artstore.cli.connection import Archive
from artstore.cli.local_files import LocalFile
from artstore.cli.reading import find
from artstore.core.http.problems import RemoteError
from artstore.core.search import SearchCriteria
from artstore.core.spec import CorruptedError, UnavailableError, UpstreamError

PATH_ATTRIBUTE: Final = "path"
"""Custom attribute that keeps where a file was, below the folder that was put."""
LOOKED_AT: Final = 10
"""Copies of one file from one path, the newest first: there is a second only after the first was damaged."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of the archive. One that ``is_damaged`` is known to be, and does not give its bytes."""

    file_id: UUID
    is_damaged: bool


async def find_copy(archive: Archive, file: LocalFile, digest: str) -> Copy | None:
    """What has this digest and comes from this path: a damaged one only if all are.

    Raises:
        ArtStoreError: query cannot tell.
    """
    criteria = SearchCriteria(
        query=digest, mode="exact", attributes={PATH_ATTRIBUTE: file.archive_path}, limit=LOOKED_AT
    )
    damaged: Copy | None = None
    for hit in (await find(archive, criteria)).items:
        copy = await _look_at(archive, hit.file_id, digest)
        if copy is not None and not copy.is_damaged:
            return copy
        damaged = damaged or copy
    return damaged


async def _look_at(archive: Archive, file_id: UUID, digest: str) -> Copy | None:
    """Ask for the bytes as somebody who has them already (RFC 9110 section 13.1.2).

    What cannot be asked, since its storage element is away or an archive, is not known to be damaged.
    ``None``: it was deleted a moment ago.
    """
    url = archive.url("query", f"/api/v1/files/{file_id}/download")
    known = {"If-None-Match": f'"{digest}"'}
    try:
        # Not GET, for which an archive would begin to restore the file.
        async with archive.client.request("HEAD", url, headers=known):
            pass
    except RemoteError as error:
        return None if error.problem.status == HTTPStatus.NOT_FOUND else Copy(file_id, is_damaged=False)
    except UnavailableError:
        return Copy(file_id, is_damaged=False)
    except UpstreamError:
        return Copy(file_id, is_damaged=await _is_damaged(archive, url, known))
    return Copy(file_id, is_damaged=False)


async def _is_damaged(archive: Archive, url: str, known: dict[str, str]) -> bool:
    """An answer to HEAD does not say why it is refused."""
    try:
        async with archive.client.request("GET", url, headers=known):
            return False
    except CorruptedError:
        return True

"""The operations of a storage element, and what each answers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore import __version__
from artstore.core.attribute_fields import MAX_INTEGER
from artstore.core.attributes import FileAttributes
from artstore.core.audit.notes import note
from artstore.core.exchange import DELEGATION_HEADER, POSITION_HEADER, Capacity, ElementInfo, StoredFile
from artstore.core.fixity import FIXITY_HEADER
from artstore.core.http.conditions import evaluate
from artstore.core.http.forms import UploadFormFields
from artstore.core.http.operations import Answer, Operation
from artstore.core.http.uploads import UPLOAD_HEADERS
from artstore.core.journal import JournalPage
from artstore.core.keys import STOPPING
from artstore.core.modes import allowed_operations
from artstore.core.restores import LOST_COPY_HEADER, ON_BEHALF_OF_HEADER, RESTORED_HEADER, RestoreRequest
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    ChecksumMismatchError,
    ContentTooLargeError,
    CorruptedError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    RequestTimeoutError,
    RetentionActiveError,
    SidecarDiffersError,
)
from artstore.services.storage_element import answers
from artstore.services.storage_element.changes import Condition, MetadataChange, change_metadata, delete
from artstore.services.storage_element.downloads import download
from artstore.services.storage_element.feed import wait_beyond
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.requests import form_upload, raw_upload
from artstore.services.storage_element.uploads import store

LONGEST_WAIT: Final = 8.0
"""Seconds. Many HTTP clients give up an answer after ten."""


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


class FileQuery(BaseModel):
    """Which slice of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
    after: Annotated[UUID | None, Field(description="The last `file_id` of the slice before.")] = None


class FilePage(BaseModel):
    """A slice of the files of an element, in the order of their ids, which grow with time."""

    items: list[FileAttributes]
    total: int
    limit: int
    offset: int
    has_more: bool


class JournalQuery(BaseModel):
    """Which slice of the journal."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0, le=MAX_INTEGER, description="The last position that is known.")] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    wait: Annotated[
        float, Field(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a change when there is none.")
    ] = 0


async def upload_form(request: web.Request) -> web.Response:
    """Store a file that is sent in a form, under a new id.

    The part `file` comes last; before it may come `description`, `tags` (JSON list), `metadata` (JSON
    object, the custom attributes), `retention_policy`, `ttl_days`, `expires_at` and `checksum`.
    """
    element = request.app[ELEMENT]
    with element.metrics.measure("upload") as measurement:
        stored = await store(element, await form_upload(request, element))
        measurement.size = stored.size
    note(file_id=str(stored.committed.attributes.file_id))
    return answers.stored_file(element, stored.committed, status=201)


async def put_content(request: web.Request, path: FilePath) -> web.Response:
    """Store the body as a file under an id that the client chose.

    Sending the same again answers 200 and stores nothing; the id of a tombstone is not given again.
    """
    element = request.app[ELEMENT]
    with element.metrics.measure("upload") as measurement:
        stored = await store(element, raw_upload(request, element, path.file_id))
        measurement.size = stored.size
    return answers.stored_file(element, stored.committed, status=201 if stored.is_new else 200)


async def list_files(request: web.Request, query: FileQuery) -> web.Response:
    """List files in the order of their ids."""
    element = request.app[ELEMENT]
    element.check("read_metadata")
    sidecars = await element.catalog.list(
        after="" if query.after is None else str(query.after), limit=query.limit + 1, offset=query.offset
    )
    return answers.file_page(element, sidecars, limit=query.limit, offset=query.offset)


async def get_file(request: web.Request, path: FilePath) -> web.Response:
    """Everything that is known of a file: its sidecar."""
    element = request.app[ELEMENT]
    element.check("read_metadata")
    known = await element.existing(path.file_id)
    attributes = known.attributes
    outcome = evaluate(request, etag=str(attributes.version), modified_at=attributes.updated_at)
    answer = answers.sidecar(known, attributes, is_known_to_client=outcome == "not_modified")
    if (bad := element.fixity.bad_outcome(path.file_id)) is not None:
        answer.headers[FIXITY_HEADER] = bad
    return answer


async def patch_file(request: web.Request, path: FilePath, body: MetadataChange) -> web.Response:
    """Change the description, tags or custom attributes of a file, or keep it for longer."""
    element = request.app[ELEMENT]
    with element.metrics.measure("update"):
        committed = await change_metadata(element, path.file_id, body, condition=_condition(request))
    return answers.stored_file(element, committed)


async def delete_file(request: web.Request, path: FilePath) -> web.Response:
    """Delete a file that need not be kept. As long as its tombstone stays, the id is not given again."""
    element = request.app[ELEMENT]
    with element.metrics.measure("delete"):
        committed = await delete(element, path.file_id, condition=_condition(request))
    return answers.stored_file(element, committed)


async def download_file(request: web.Request, path: FilePath) -> web.StreamResponse:
    """The bytes of a file, or ranges of them (RFC 9110 section 14)."""
    element = request.app[ELEMENT]
    with element.metrics.measure("download") as measurement:
        response = await download(request, element, path.file_id)
        measurement.size = 0 if request.method == "HEAD" else response.content_length or 0
    return response


async def info(request: web.Request) -> ElementInfo:
    """What the element is, what it allows, and how far its journal goes."""
    element = request.app[ELEMENT]
    return ElementInfo(
        element_id=element.element_id,
        name=element.settings.name,
        version=__version__,
        mode=element.mode,
        priority=element.settings.priority,
        storage_type=element.storage_type,
        allowed_operations=list(allowed_operations(element.mode)),
        capabilities=element.storage.capabilities.names(),
        max_file_size=element.max_file_size,
        file_count=element.catalog.file_count,
        capacity=await element.look_at_space(),
        epoch=element.catalog.epoch,
        last_sequence=element.catalog.last_sequence,
        timestamp=datetime.now(UTC),
    )


async def capacity(request: web.Request) -> Capacity:
    """The space of the element as it is now."""
    return await request.app[ELEMENT].look_at_space()


async def journal(request: web.Request, query: JournalQuery) -> web.Response:
    """Every change after a position, oldest first; waits for one if asked to.

    A new `epoch` means that the catalog was rebuilt: read the journal from its beginning.
    """
    element = request.app[ELEMENT]
    await wait_beyond(element.catalog, query.after, patience=query.wait, stopping=request.app[STOPPING])
    return answers.journal_page(element, await element.catalog.journal(after=query.after, limit=query.limit))


def _condition(request: web.Request) -> Condition:
    """What ``If-Match`` and its kin ask of the present attributes; the version is the ETag."""

    def check(present: FileAttributes) -> None:
        evaluate(request, etag=str(present.version), modified_at=present.updated_at)

    return check


# Not "upload": that path has its own methods, and answers 405 to all others.
_FILE: Final = "/api/v1/files/{file_id:(?!upload$)[^/]+}"
_JSON: Final = "application/json"
_POSITION: Final = {POSITION_HEADER: "Where the change is in the journal: `element:sequence`."}
_STORED: Final = {_JSON: StoredFile}
_UPLOAD_PROBLEMS: Final = (
    AlreadyExistsError,
    ChecksumMismatchError,
    ContentTooLargeError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    RequestTimeoutError,
    SidecarDiffersError,
)
_CHANGE_PROBLEMS: Final = (
    BeingFinalizedError,
    CorruptedError,
    InsufficientStorageError,
    NotFoundError,
    PreconditionFailedError,
    RetentionActiveError,
    SidecarDiffersError,
)
_CONDITIONS: Final = {
    "If-Match": "Change only this version: the `ETag` of the metadata.",
}
_DELEGATION: Final = {DELEGATION_HEADER: "In whose name, JSON as base64url; needs `uploads:delegate`."}
_DOWNLOAD: Final = Operation(
    "GET",
    f"{_FILE}/download",
    download_file,
    scope="storage:read",
    allowed_as="read",
    problems=(
        CorruptedError,
        NotFoundError,
        PreconditionFailedError,
        RangeNotSatisfiableError,
    ),
    answers={
        200: Answer("The file.", {"*/*": None}, {"ETag": "", "Repr-Digest": "", "Content-Disposition": ""}),
        206: Answer("One range, or several as multipart/byteranges.", {"*/*": None}),
        202: Answer(
            "In mode `ar`: the data have to be restored, which this request asked for, or an earlier one.",
            {_JSON: RestoreRequest},
            {"Location": "What became of that.", "Retry-After": ""},
        ),
        303: Answer(
            "In mode `ar`: where the restored copy is.",
            {_JSON: RestoreRequest},
            {"Location": "", RESTORED_HEADER: "The same as `element:file_id`."},
        ),
        304: Answer("The client's copy is still good."),
    },
    request_headers={
        ON_BEHALF_OF_HEADER: "For which client another role asks.",
        LOST_COPY_HEADER: "A restored copy that is gone or damaged, as `Artstore-Restored` names it.",
        "Range": "`bytes=…`",
        "If-Range": "",
        "If-None-Match": "",
    },
)

OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/files/upload",
        upload_form,
        scope="storage:write",
        allowed_as="create",
        problems=_UPLOAD_PROBLEMS,
        answers={201: Answer("Stored.", _STORED, _POSITION)},
        request_content={"multipart/form-data": UploadFormFields},
        request_headers=_DELEGATION,
        streams_body=True,
    ),
    Operation(
        "PUT",
        f"{_FILE}/content",
        put_content,
        scope="storage:write",
        allowed_as="create",
        problems=_UPLOAD_PROBLEMS,
        answers={
            201: Answer("Stored.", _STORED, _POSITION),
            200: Answer("This very content is stored under this id already.", _STORED, _POSITION),
        },
        request_content={"application/octet-stream": None},
        request_headers={**UPLOAD_HEADERS, **_DELEGATION},
        streams_body=True,
    ),
    Operation(
        "GET",
        "/api/v1/files",
        list_files,
        scope="storage:read",
        allowed_as="read_metadata",
        answers={200: Answer("A slice of the files.", {_JSON: FilePage})},
    ),
    Operation(
        "GET",
        _FILE,
        get_file,
        scope="storage:read",
        allowed_as="read_metadata",
        problems=(CorruptedError, NotFoundError, PreconditionFailedError),
        answers={
            200: Answer(
                "The attributes.",
                {_JSON: FileAttributes},
                {"ETag": "The version.", FIXITY_HEADER: "What the last check found, if not good."},
            ),
            304: Answer("The client's copy is still good."),
        },
        request_headers={"If-None-Match": "Answer only if the version is another."},
    ),
    Operation(
        "PATCH",
        _FILE,
        patch_file,
        scope="storage:write",
        allowed_as="update",
        problems=_CHANGE_PROBLEMS,
        answers={200: Answer("The next version.", _STORED, _POSITION)},
        request_headers=_CONDITIONS,
    ),
    Operation(
        "DELETE",
        _FILE,
        delete_file,
        scope="storage:delete",
        allowed_as="delete",
        problems=_CHANGE_PROBLEMS,
        answers={200: Answer("The tombstone.", _STORED, _POSITION)},
        request_headers=_CONDITIONS,
    ),
    _DOWNLOAD,
    replace(_DOWNLOAD, method="HEAD"),
    Operation("GET", "/api/v1/info", info, scope="storage:read"),
    Operation("GET", "/api/v1/capacity", capacity, scope="storage:read"),
    Operation(
        "GET",
        "/api/v1/journal",
        journal,
        scope="storage:read",
        answers={200: Answer("A slice of the journal.", {_JSON: JournalPage})},
    ),
)

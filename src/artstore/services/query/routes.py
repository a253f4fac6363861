"""The operations of the query role, and what each answers."""

from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attribute_fields import MAX_INTEGER
from artstore.core.http.conditions import evaluate
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.restores import RestoreRequest
from artstore.core.search import SearchCriteria, SearchHit, SearchMode, SearchPage, SortKey, SortOrder
from artstore.core.spec import (
    CorruptedError,
    InvalidRequestError,
    ModeNotAllowedError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UnavailableError,
    UnsupportedError,
    UpstreamError,
)
from artstore.core.validation import invalid_request
from artstore.services.query.files import as_hit
from artstore.services.query.keys import QUERY


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


class SearchQuery(BaseModel):
    """A search in a URL: what of the criteria people type into one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    q: Annotated[str | None, Field(max_length=500, description="What to look for.")] = None
    mode: SearchMode = "fulltext"
    tags: Annotated[list[str], Field(description="All of them, whole.")] = []
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
    after: Annotated[str | None, Field(max_length=4000, description="`next_after` of a page.")] = None
    sort_by: SortKey | None = None
    sort_order: SortOrder = "desc"
    at_least: Annotated[
        str | None,
        Field(max_length=100, pattern=r"^.+:[0-9]{1,18}$", description="Wait for this `element:sequence`."),
    ] = None

    def criteria(self) -> SearchCriteria:
        """The same as a body says it.

        Raises:
            InvalidRequestError: two parameters contradict each other, or a text is none.
        """
        try:
            return SearchCriteria(query=self.q, **self.model_dump(exclude={"q"}))
        except ValidationError as error:
            raise invalid_request(error, SearchCriteria) from None


async def search(request: web.Request, body: SearchCriteria) -> SearchPage:
    """Find files by words, parts of words or exact values, and by what is known of them."""
    return await request.app[QUERY].searches.search(body)


async def search_by_url(request: web.Request, query: SearchQuery) -> SearchPage:
    """The same search for an address bar."""
    return await request.app[QUERY].searches.search(query.criteria())


async def get_file(request: web.Request, path: FilePath) -> web.Response:
    """What is known of a file. The `ETag` is its version."""
    file = await request.app[QUERY].files.get(path.file_id)
    attributes = file.attributes
    headers = {"ETag": f'"{attributes.version}"', "Cache-Control": "private, no-cache"}
    outcome = evaluate(request, etag=str(attributes.version), modified_at=attributes.updated_at)
    if outcome == "not_modified":
        return web.Response(status=304, headers=headers)
    return json_response(as_hit(file), headers=headers)


async def get_restore(request: web.Request, path: FilePath) -> RestoreRequest:
    """What became of the newest request to restore a file from an archive."""
    return await request.app[QUERY].files.get_restore(path.file_id)


async def download_file(request: web.Request, path: FilePath) -> web.StreamResponse:
    """The bytes of a file, or ranges of them (RFC 9110 section 14)."""
    return await request.app[QUERY].files.download(request, path.file_id)


_DOWNLOAD: Final = Operation(
    "GET",
    "/api/v1/files/{file_id}/download",
    download_file,
    scope="files:read",
    problems=(
        CorruptedError,
        ModeNotAllowedError,
        NotFoundError,
        PreconditionFailedError,
        RangeNotSatisfiableError,
        UnavailableError,
        UpstreamError,
    ),
    answers={
        200: Answer(
            "The file.",
            {"*/*": None},
            {
                "ETag": "The SHA-256 of the file.",
                "Repr-Digest": "The same (RFC 9530).",
                "Content-Disposition": "The name of the file (RFC 6266).",
            },
        ),
        206: Answer("One range, or several as multipart/byteranges.", {"*/*": None}),
        202: Answer(
            "The file is in an archive: it has to be restored, which this request asked for, or an earlier.",
            {JSON: RestoreRequest},
            {"Location": "What became of that.", "Retry-After": ""},
        ),
        304: Answer("The client's copy is still good."),
    },
    request_headers={
        "Range": "`bytes=…`, one or several.",
        "If-Range": "Send the range only if the file is still this one.",
        "If-None-Match": "Answer only if the file is another.",
    },
)
_SEARCH_PROBLEMS: Final = (InvalidRequestError, UnavailableError, UnsupportedError)

OPERATIONS: Final = (
    Operation("POST", "/api/v1/search", search, scope="files:read", problems=_SEARCH_PROBLEMS, is_safe=True),
    Operation("GET", "/api/v1/search", search_by_url, scope="files:read", problems=_SEARCH_PROBLEMS),
    Operation(
        "GET",
        "/api/v1/files/{file_id}",
        get_file,
        scope="files:read",
        problems=(NotFoundError, PreconditionFailedError, UnavailableError),
        answers={
            200: Answer("What is known of the file.", {JSON: SearchHit}, {"ETag": "The version."}),
            304: Answer("The client's copy is still good."),
        },
        request_headers={"If-None-Match": "Answer only if the version is another."},
    ),
    Operation(
        "GET",
        "/api/v1/files/{file_id}/restore",
        get_restore,
        scope="files:read",
        problems=(NotFoundError, UnavailableError, UpstreamError),
    ),
    _DOWNLOAD,
    replace(_DOWNLOAD, method="HEAD"),
)

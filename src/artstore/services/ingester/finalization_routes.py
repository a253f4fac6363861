"""The operations with which clients make temporary files permanent."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.finalization import FinalizationAnswer, FinalizationOrder, FinalizationRequest
from artstore.core.http.operations import JSON, Answer, Operation, json_response, read_json
from artstore.core.keys import PRINCIPAL, SETTINGS
from artstore.core.spec import (
    AlreadyExistsError,
    InvalidRequestError,
    ModeNotAllowedError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from artstore.services.ingester.keys import INGESTER
from artstore.services.ingester.requests import IDEMPOTENCY_HEADER, idempotency_key
from artstore.services.ingester.routes import FilePath


class FinalizationPath(BaseModel):
    """Which finalization."""

    finalization_id: UUID


async def finalize_file(request: web.Request, path: FilePath) -> web.Response:
    """Make a temporary file permanent. A JSON body is optional.

    It goes on by itself, whatever is restarted meanwhile; the file expires no more. A file has one
    finalization at a time, and an `Idempotency-Key` too, until it is undone.
    """
    wanted = await read_json(request, FinalizationRequest) if request.body_exists else FinalizationRequest()
    order = FinalizationOrder(
        file_id=path.file_id,
        element_id=wanted.element_id,
        requested_by=request[PRINCIPAL].client_id,
        idempotency_key=idempotency_key(request),
    )
    answer = await request.app[INGESTER].finalizations.start(order)
    return json_response(
        answer, status=200 if answer.is_finalized else 202, headers=_location(request, answer)
    )


async def get_finalization(request: web.Request, path: FinalizationPath) -> FinalizationAnswer:
    """How far a finalization has come."""
    return await request.app[INGESTER].finalizations.get(path.finalization_id)


def _location(request: web.Request, answer: FinalizationAnswer) -> dict[str, str]:
    if answer.finalization_id is None:
        return {}
    url = request.app[SETTINGS].url("ingester")
    return {"Location": f"{url}/api/v1/finalizations/{answer.finalization_id}"}


_LOCATION: Final = {"Location": "How far the finalization has come."}

FINALIZATION_OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/files/{file_id}/finalize",
        finalize_file,
        scope="files:write",
        problems=(
            AlreadyExistsError,
            InvalidRequestError,
            ModeNotAllowedError,
            NotFoundError,
            UnavailableError,
            UpstreamError,
        ),
        answers={
            200: Answer("The file is permanent.", {JSON: FinalizationAnswer}, _LOCATION),
            202: Answer("It will be, and expires no more.", {JSON: FinalizationAnswer}, _LOCATION),
        },
        request_content={JSON: FinalizationRequest},
        request_headers={IDEMPOTENCY_HEADER: "1 to 255 characters; the same key is the same finalization."},
    ),
    Operation(
        "GET",
        "/api/v1/finalizations/{finalization_id}",
        get_finalization,
        scope="files:read",
        problems=(NotFoundError, UnavailableError, UpstreamError),
    ),
)

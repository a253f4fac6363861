"""The operations that make temporary files permanent."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.finalization import FinalizationAnswer, FinalizationOrder, FinalizationPage
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.spec import (
    AlreadyExistsError,
    InvalidRequestError,
    ModeNotAllowedError,
    NotFoundError,
    PreconditionFailedError,
    UnavailableError,
    UpstreamError,
)
from artstore.services.admin.finalizations import FinalizationQuery
from artstore.services.admin.keys import ADMIN


class FinalizationPath(BaseModel):
    """Which finalization."""

    finalization_id: UUID


async def start_finalization(request: web.Request, body: FinalizationOrder) -> web.Response:
    """Begin to make a temporary file permanent. Clients ask the ingester for it."""
    answer = await request.app[ADMIN].finalizations.start(body)
    return json_response(answer, status=200 if answer.is_finalized else 202)


async def get_finalization(request: web.Request, path: FinalizationPath) -> FinalizationAnswer:
    """How far a finalization has come."""
    return await request.app[ADMIN].finalizations.get(path.finalization_id)


async def list_finalizations(request: web.Request, query: FinalizationQuery) -> FinalizationPage:
    """Finalizations, newest first."""
    return await request.app[ADMIN].finalizations.list(query)


FINALIZATION_OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/finalizations",
        start_finalization,
        scope="uploads:delegate",
        problems=(
            AlreadyExistsError,
            InvalidRequestError,
            ModeNotAllowedError,
            NotFoundError,
            PreconditionFailedError,
            UnavailableError,
            UpstreamError,
        ),
        answers={
            200: Answer("The file is permanent.", {JSON: FinalizationAnswer}),
            202: Answer("The file will be permanent, and expires no more.", {JSON: FinalizationAnswer}),
        },
    ),
    Operation("GET", "/api/v1/finalizations", list_finalizations, scope="files:read"),
    Operation(
        "GET",
        "/api/v1/finalizations/{finalization_id}",
        get_finalization,
        scope="files:read",
        problems=(NotFoundError,),
    ),
)

"""The operation that changes the mode of a storage element."""

from typing import Final

from aiohttp import web

from artstore.core.http.operations import Operation
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import (
    InsufficientStorageError,
    ModeTransitionNotAllowedError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamError,
)
from artstore.core.transitions import Transition, TransitionOrder
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.routes import ElementPath


async def change_element_mode(request: web.Request, path: ElementPath, body: TransitionOrder) -> Transition:
    """Validate a change of an element's mode, or confirm one that was validated.

    Both steps are those of the element's own `POST /api/v1/mode/transition`. After a confirmation the
    registry has the new mode.
    """
    principal = request[PRINCIPAL]
    return await request.app[ADMIN].elements.change_mode(
        path.element_id, body, by=principal.name or principal.client_id
    )


MODE_OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/storage-elements/{element_id}/mode",
        change_element_mode,
        scope="storage:admin",
        problems=(
            InsufficientStorageError,
            ModeTransitionNotAllowedError,
            NotFoundError,
            PreconditionFailedError,
            UpstreamError,
        ),
    ),
)

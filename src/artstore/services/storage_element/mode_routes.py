"""The operations of a storage element that concern its mode."""

from typing import Final

from aiohttp import web

from artstore.core.http.operations import Operation
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import (
    InsufficientStorageError,
    ModeTransitionNotAllowedError,
    PreconditionFailedError,
)
from artstore.core.transitions import ModeState, Transition, TransitionRequest
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.mode_changes import confirm, describe, propose


async def get_mode(request: web.Request) -> ModeState:
    """The mode, how the element came to it, where it can go, and what each mode allows."""
    return describe(request.app[ELEMENT])


async def change_mode(request: web.Request, body: TransitionRequest) -> Transition:
    """Validate a change of mode, or confirm one that was validated.

    Without `confirmation`, nothing changes: the answer says what would happen, and has a token that
    confirms it for ten minutes, unless the mode changes before. With that token as `confirmation`, it is
    done: operations that the new mode does not allow are refused from then on, and those under way are
    waited for, `wait` seconds; when they have not ended then, the answer is 503 and the mode is what it was.
    A confirmation may be repeated: the same token does the same change once.
    """
    element = request.app[ELEMENT]
    if body.confirmation is None:
        return propose(element, body)
    principal = request[PRINCIPAL]
    return await confirm(element, body, body.confirmation, by=principal.name or principal.client_id)


MODE_OPERATIONS: Final = (
    Operation("GET", "/api/v1/mode", get_mode, scope="storage:read"),
    Operation(
        "POST",
        "/api/v1/mode/transition",
        change_mode,
        scope="storage:admin",
        problems=(ModeTransitionNotAllowedError, PreconditionFailedError, InsufficientStorageError),
    ),
)

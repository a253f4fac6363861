"""The operations of the admin role: what each takes, gives, and who may call it."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.audit.notes import note
from artstore.core.exchange import Element, ElementPage, Endpoints, Registration
from artstore.core.http.operations import Operation
from artstore.core.keys import SETTINGS
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    ModeNotAllowedError,
    NotFoundError,
    RetentionActiveError,
    SidecarDiffersError,
    UpstreamError,
)
from artstore.services.admin.elements import ElementQuery, NewElement
from artstore.services.admin.files import FileQuery, RegisteredFile, RegisteredFilePage, RegistrationResult
from artstore.services.admin.keys import ADMIN


class ElementPath(BaseModel):
    """Which storage element."""

    element_id: str


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


async def get_endpoints(request: web.Request) -> Endpoints:
    """Where the roles of this cluster are."""
    settings = request.app[SETTINGS]
    return Endpoints(
        admin=settings.url("admin"),
        element=settings.url("element"),
        ingester=settings.url("ingester"),
        query=settings.url("query"),
    )


async def register_element(request: web.Request, body: NewElement) -> Element:
    """Register the storage element at a URL. Again: note what it says now, and that it has moved."""
    element = await request.app[ADMIN].elements.register(body.url)
    note(element_id=element.element_id, url=element.url)
    return element


async def list_elements(request: web.Request, query: ElementQuery) -> ElementPage:
    """Storage elements in the order in which uploads prefer them."""
    return await request.app[ADMIN].elements.list(query)


async def get_element(request: web.Request, path: ElementPath) -> Element:
    """One storage element."""
    return await request.app[ADMIN].elements.get(path.element_id)


async def delete_element(request: web.Request, path: ElementPath) -> None:
    """Take a storage element out of the registry. Its files stay where they are."""
    await request.app[ADMIN].elements.delete(path.element_id)


async def register_files(request: web.Request, body: Registration) -> RegistrationResult:
    """Put committed records into the index at once. Repeating it changes nothing."""
    return await request.app[ADMIN].files.register(body)


async def list_files(request: web.Request, query: FileQuery) -> RegisteredFilePage:
    """Files, newest first."""
    return await request.app[ADMIN].files.list(query)


async def get_file(request: web.Request, path: FilePath) -> RegisteredFile:
    """One file."""
    return await request.app[ADMIN].files.get(path.file_id)


async def delete_file(request: web.Request, path: FilePath) -> None:
    """Delete a file that need not be kept, where the mode of its storage element allows it."""
    await request.app[ADMIN].files.delete(path.file_id)


OPERATIONS: Final = [
    Operation("GET", "/api/v1/endpoints", get_endpoints),
    Operation(
        "POST",
        "/api/v1/storage-elements",
        register_element,
        scope="storage:admin",
        status=201,
        problems=[AlreadyExistsError, UpstreamError],
    ),
    Operation("GET", "/api/v1/storage-elements", list_elements, scope="storage:read"),
    Operation(
        "GET",
        "/api/v1/storage-elements/{element_id}",
        get_element,
        scope="storage:read",
        problems=[NotFoundError],
    ),
    Operation(
        "DELETE",
        "/api/v1/storage-elements/{element_id}",
        delete_element,
        scope="storage:admin",
        problems=[NotFoundError],
    ),
    Operation("POST", "/api/v1/files", register_files, scope="index:write", problems=[NotFoundError]),
    Operation("GET", "/api/v1/files", list_files, scope="files:read"),
    Operation("GET", "/api/v1/files/{file_id}", get_file, scope="files:read", problems=[NotFoundError]),
    Operation(
        "DELETE",
        "/api/v1/files/{file_id}",
        delete_file,
        scope="files:delete",
        problems=[
            BeingFinalizedError,
            NotFoundError,
            ModeNotAllowedError,
            RetentionActiveError,
            SidecarDiffersError,
            UpstreamError,
        ],
    ),
]

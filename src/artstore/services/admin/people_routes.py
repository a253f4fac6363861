"""The operations on the people who may log in."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.audit.notes import note
from artstore.core.http.conditions import evaluate
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnavailableError
from artstore.core.stores.people import Person
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.person_models import (
    NewPerson,
    PasswordReset,
    PersonChange,
    PersonPage,
    PersonQuery,
    PersonView,
    PersonWithPassword,
)
from artstore.services.admin.token_endpoint import NO_STORE


class PersonPath(BaseModel):
    """Which person."""

    person_id: UUID


async def create_person(request: web.Request, body: NewPerson) -> web.Response:
    """Let another person log in. A password that is made for them is shown this once."""
    person = await request.app[ADMIN].people.people.create(body, held_scopes=request[PRINCIPAL].scopes)
    note(person_id=str(person.id), username=person.username, person_role=person.role)
    return _with_etag(person, status=201)


async def list_people(request: web.Request, query: PersonQuery) -> PersonPage:
    """People by username."""
    return await request.app[ADMIN].people.people.list(query)


async def get_person(request: web.Request, path: PersonPath) -> web.Response:
    """One person."""
    return _with_etag(await request.app[ADMIN].people.people.get(str(path.person_id)))


async def put_person(request: web.Request, path: PersonPath, body: PersonChange) -> web.Response:
    """Change address, role, or whether a person may log in. Other rights mean another login."""

    def check(person: Person) -> None:
        evaluate(request, etag=str(person.revision), modified_at=person.updated_at)

    person = await request.app[ADMIN].people.people.change(
        str(path.person_id), body, held_scopes=request[PRINCIPAL].scopes, check=check
    )
    note(username=person.username, person_role=person.role, state="enabled" if person.enabled else "disabled")
    return _with_etag(person)


async def delete_person(request: web.Request, path: PersonPath) -> None:
    """Delete a person. Their tokens are refused at once."""
    await request.app[ADMIN].people.people.delete(str(path.person_id), held_scopes=request[PRINCIPAL].scopes)


async def reset_password(request: web.Request, path: PersonPath, body: PasswordReset) -> web.Response:
    """Give a person another password, to be changed at the next login. It unlocks them, too."""
    person = await request.app[ADMIN].people.people.reset_password(
        str(path.person_id), body, held_scopes=request[PRINCIPAL].scopes
    )
    return _with_etag(person)


async def unlock_person(request: web.Request, path: PersonPath) -> PersonView:
    """Let a person try again who is locked out after too many wrong passwords."""
    return await request.app[ADMIN].people.people.unlock(
        str(path.person_id), held_scopes=request[PRINCIPAL].scopes
    )


def _with_etag(person: PersonView, *, status: int = 200) -> web.Response:
    return json_response(person, status=status, headers={**NO_STORE, "ETag": f'"{person.revision}"'})


_PATH: Final = "/api/v1/admin-users"
_ONE: Final = f"{_PATH}/{{person_id}}"
_ETAG: Final = {"ETag": "The revision."}

PEOPLE_OPERATIONS: Final = (
    Operation(
        "POST",
        _PATH,
        create_person,
        scope="people:write",
        problems=(AlreadyExistsError, UnavailableError),
        answers={201: Answer("The person.", {JSON: PersonWithPassword}, _ETAG)},
    ),
    Operation("GET", _PATH, list_people, scope="people:read"),
    Operation(
        "GET",
        _ONE,
        get_person,
        scope="people:read",
        problems=(NotFoundError,),
        answers={200: Answer("The person.", {JSON: PersonView}, _ETAG)},
    ),
    Operation(
        "PUT",
        _ONE,
        put_person,
        scope="people:write",
        problems=(AlreadyExistsError, NotFoundError, PreconditionFailedError),
        answers={200: Answer("The person as they are now.", {JSON: PersonView}, _ETAG)},
        request_headers={"If-Match": "Change them only if they are still at this revision."},
    ),
    Operation("DELETE", _ONE, delete_person, scope="people:write", problems=(NotFoundError,)),
    Operation(
        "POST",
        f"{_ONE}/reset-password",
        reset_password,
        scope="people:write",
        problems=(NotFoundError, PreconditionFailedError, UnavailableError),
        answers={200: Answer("The person.", {JSON: PersonWithPassword}, _ETAG)},
    ),
    Operation(
        "POST",
        f"{_ONE}/unlock",
        unlock_person,
        scope="people:write",
        problems=(NotFoundError,),
    ),
)

"""What every role's HTTP has in common, over real sockets with a small role."""

import json
import math
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.app import Resource, Role, build_app
from artstore.core.config import ServerSettings, Settings
from artstore.core.http.operations import Operation
from artstore.core.http.problems import problem_response
from artstore.core.keys import AUTHENTICATOR, PRINCIPAL
from artstore.core.spec import (
    Authenticator,
    Credentials,
    NotFoundError,
    Principal,
    UnauthenticatedError,
    UnavailableError,
)

Client = TestClient[web.Request, web.Application]


class Box(BaseModel):
    """A body and an answer."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=0)
    label: str | None = None


class Paging(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(10, ge=1)
    tag: list[str] = []


class BoxPath(BaseModel):
    """A path."""

    box_id: int


async def put_box(request: web.Request, path: BoxPath, body: Box) -> Box:
    """Store a box.

    Twice the size comes back.
    """
    return body.model_copy(update={"size": body.size * 2, "label": request[PRINCIPAL].name})


async def list_boxes(request: web.Request, query: Paging) -> Box:
    """List boxes."""
    return Box(size=query.limit, label=",".join(query.tag))


async def fail(request: web.Request) -> None:
    """Fail in one of several ways."""
    match request.query["how"]:
        case "missing":
            raise NotFoundError("there is no such box")
        case "later":
            raise UnavailableError("come back", retry_after=7)
        case _:
            raise RuntimeError("password=hunter2")


OPERATIONS = [
    Operation("PUT", "/api/v1/boxes/{box_id}", put_box, scope="boxes:write"),
    Operation("GET", "/api/v1/boxes", list_boxes, public=True),
    Operation("GET", "/api/v1/fail", fail, public=True, problems=[NotFoundError]),
]


class OneToken(Authenticator):
    """Knows two tokens."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        scopes = {"full": {"boxes:write"}, "empty": set[str]()}.get(credentials.bearer_token or "")
        if scopes is None:
            raise UnauthenticatedError("send a token that holds")
        return Principal("s", "service_account", "c", "Ann", frozenset(scopes))


class _Opened:
    async def __aenter__(self) -> Authenticator:
        return OneToken()

    async def __aexit__(self, *exception: object) -> None:
        return None


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    settings = Settings(server=ServerSettings(max_json_size=1024))
    app = build_app(
        Role("query", "Boxes", OPERATIONS),
        [Resource(AUTHENTICATOR, lambda app: _Opened())],
        settings=settings,
    )
    async with TestClient(TestServer(app)) as client:
        yield client


FULL = {"Authorization": "Bearer full"}


async def test_what_is_valid_reaches_the_handler_and_comes_back(client: Client) -> None:
    answer = await client.put("/api/v1/boxes/1", json={"size": 21}, headers=FULL)

    assert (answer.status, await answer.json()) == (200, {"size": 42, "label": "Ann"})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"size": "21"}, "size"),
        ({"size": -1}, "size"),
        ({}, "size"),
        ({"size": 1, "lable": "x"}, "lable"),
        ([], ""),
    ],
)
async def test_a_wrong_body_is_refused_and_the_field_named(client: Client, body: object, path: str) -> None:
    answer = await client.put("/api/v1/boxes/1", json=body, headers=FULL)

    problem = await answer.json()
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    assert problem["type"] == "urn:artstore:problem:invalid-request"
    assert problem["errors"][0]["path"] == path


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b'{"size": 1, "label": "' + b"x" * 2000 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_read_gets_the_status_that_says_why(
    client: Client, body: bytes, content_type: str, status: int
) -> None:
    answer = await client.put("/api/v1/boxes/1", data=body, headers={**FULL, "Content-Type": content_type})

    assert answer.status == status
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "unknown=1", "limit=1&limit=2"])
async def test_a_wrong_query_is_refused(client: Client, query: str) -> None:
    answer = await client.get(f"/api/v1/boxes?{query}")

    assert answer.status == 400


async def test_a_list_in_a_query_is_a_repeated_parameter(client: Client) -> None:
    answer = await client.get("/api/v1/boxes?tag=a&tag=b")

    assert (await answer.json())["label"] == "a,b"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer", 401), ("Basic eDp5", 401), ("Bearer wrong", 401), ("Bearer empty", 403)],
)
async def test_who_may_not_is_told_what_is_missing(
    client: Client, authorization: str | None, status: int
) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    answer = await client.put("/api/v1/boxes/1", json={"size": 1}, headers=headers)

    assert answer.status == status
    challenge = answer.headers["WWW-Authenticate"]
    assert ("invalid_token" if status == 401 else 'scope="boxes:write"') in challenge


async def test_two_authorization_headers_are_refused(client: Client) -> None:
    headers = [("Authorization", "Bearer full"), ("Authorization", "Bearer full")]

    answer = await client.put("/api/v1/boxes/1", json={"size": 1}, headers=headers)

    assert answer.status == 401


async def test_an_unforeseen_error_leaks_nothing(client: Client) -> None:
    answer = await client.get("/api/v1/fail?how=unforeseen")

    text = await answer.text()
    assert answer.status == 500
    assert "hunter2" not in text
    assert json.loads(text)["instance"] == answer.headers["X-Request-ID"]


async def test_a_domain_error_has_its_status_and_headers(client: Client) -> None:
    missing = await client.get("/api/v1/fail?how=missing")
    later = await client.get("/api/v1/fail?how=later")

    assert (missing.status, (await missing.json())["detail"]) == (404, "there is no such box")
    assert (later.status, later.headers["Retry-After"]) == (503, "7")


def test_a_pause_without_an_end_is_told_as_a_day() -> None:
    """What is behind us may ask for it: in four hundred digits, or as ``inf``."""
    answer = problem_response(UnavailableError("busy", retry_after=math.inf), request_id="r")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "86400")


async def test_unknown_paths_and_methods_are_problems_too(client: Client) -> None:
    nowhere = await client.get("/nowhere")
    wrong = await client.delete("/api/v1/boxes")

    assert (nowhere.status, nowhere.content_type) == (404, "application/problem+json")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(("sent", "kept"), [("abc.D-1_", True), ("a b", False), ("x" * 65, False)])
async def test_a_valid_request_id_is_kept_and_another_replaced(client: Client, sent: str, kept: bool) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": sent})

    assert (answer.headers["X-Request-ID"] == sent) is kept
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_requests_are_counted_by_route_and_status(client: Client) -> None:
    await client.put("/api/v1/boxes/1", json={"size": 1}, headers=FULL)
    await client.put("/api/v1/boxes/2", json={"size": 1}, headers=FULL)

    text = await (await client.get("/metrics")).text()

    wanted = 'method="PUT",role="query",route="/api/v1/boxes/{box_id}",status="200"} 2.0'
    assert f"artstore_http_requests_total{{{wanted}" in text
    assert 'artstore_build_info{version="' in text


async def test_the_openapi_document_is_valid_and_tells_all(client: Client) -> None:
    document = await (await client.get("/api/v1/openapi.json")).json()

    OpenAPIV31SpecValidator(document).validate()
    operation = document["paths"]["/api/v1/boxes/{box_id}"]["put"]
    assert operation["summary"] == "Store a box."
    assert operation["security"] == [{"oauth2": ["boxes:write"]}]
    assert set(operation["responses"]) >= {"200", "400", "401", "403", "413", "415", "500"}
    limit = document["paths"]["/api/v1/boxes"]["get"]["parameters"][0]
    assert (limit["name"], limit["schema"]["minimum"]) == ("limit", 1)


async def test_readiness_tells_which_check_failed(client: Client) -> None:
    from artstore.core.keys import HEALTH

    async def down() -> str:
        raise UnavailableError("the box room is closed")

    app = client.app
    app[HEALTH].add("room", down)
    answer = await client.get("/health/ready")

    assert answer.status == 503
    assert (await answer.json())["checks"]["room"] == {"status": "fail", "detail": "the box room is closed"}
    assert 'artstore_dependency_up{dependency="room"} 0.0' in await (await client.get("/metrics")).text()

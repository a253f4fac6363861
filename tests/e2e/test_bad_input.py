"""Bad input and roles that are down, over HTTP: all is answered, nothing is lost, nothing stays."""

import base64
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from artstore.core.config import RoleName
from artstore.core.upload_attributes import ATTRIBUTES_HEADER
from tests.cluster import Answer
from tests.e2e.roles import SeparateRoles, running_roles

PATIENCE = 60.0
NOBODYS = "00000000-0000-7000-8000-000000000000"
"""The id of no file."""


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeparateRoles]:
    """Roles that all tests share; whatever the tests did, their log tells of no crash and no secret."""
    with running_roles(tmp_path_factory.mktemp("roles") / "data") as roles:
        _until(lambda: _upload(roles).status == 201)
        yield roles
        log = roles.log.read_text()
    assert "request_served" in log
    assert "request_crashed" not in log
    assert "Traceback" not in log
    for secret in (roles.data / "secrets").iterdir():
        assert secret.read_text().strip().rpartition(":")[2] not in log, secret.name


def test_an_upload_succeeds_while_admin_is_down_and_is_found_when_it_is_back(roles: SeparateRoles) -> None:
    name = f"{uuid4()}.txt"
    roles.kill_role("admin")

    try:
        uploaded = _upload(roles, b"without admin", name=name)
    finally:
        roles.start_role("admin")

    assert uploaded.status == 201, uploaded
    _until(lambda: _found(roles, name) == [uploaded.json()["file_id"]])


def test_while_the_element_is_down_clients_are_told_to_come_back(roles: SeparateRoles) -> None:
    file_id = _upload(roles, b"content").json()["file_id"]
    _until(lambda: _download(roles, file_id).status == 200)
    roles.kill_role("element")

    try:
        uploaded, downloaded = _upload(roles), _download(roles, file_id)
    finally:
        roles.start_role("element")

    assert (uploaded.status, downloaded.status) == (503, 503)
    assert "Retry-After" in uploaded.headers
    _until(lambda: _upload(roles).status == 201)
    _until(lambda: _download(roles, file_id).body == b"content")


def test_of_a_file_with_a_wrong_digest_nothing_is_kept(roles: SeparateRoles) -> None:
    before = _kept(roles)
    declared = base64.b64encode(hashlib.sha256(b"other").digest()).decode()

    answer = _upload(roles, b"content", headers={"Repr-Digest": f"sha-256=:{declared}:"})

    assert (answer.status, answer.json()["type"]) == (422, "urn:artstore:problem:checksum-mismatch")
    assert _kept(roles) == before


def test_of_an_upload_that_breaks_off_nothing_is_kept(roles: SeparateRoles) -> None:
    before = _kept(roles)
    connection = http.client.HTTPConnection(urlsplit(roles.url("ingester")).netloc)
    connection.putrequest("POST", "/api/v1/files")
    for name, value in _headers(roles, "broken.bin").items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "10000000")
    connection.endheaders()
    connection.send(b"x" * 2_000_000)
    _until(lambda: _kept(roles) != before)  # so much has arrived that the element has begun to write

    connection.close()

    _until(lambda: _kept(roles) == before)


@pytest.mark.parametrize("name", ["ж" * 296 + ".txt", "\N{PARTY POPPER}\N{FAMILY}.dat", "a \"b\" 'c' %41;.x"])
def test_an_unusual_name_comes_back_as_it_was(roles: SeparateRoles, name: str) -> None:
    content = uuid4().bytes

    uploaded = _upload(roles, content, name=name)

    file_id = uploaded.json()["file_id"]
    _until(lambda: file_id in _found(roles, name))
    downloaded = _download(roles, file_id)
    assert downloaded.body == content
    assert f"filename*=UTF-8''{quote(name, safe='')}" in downloaded.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "this is not a request"),
        (b"GET /?q=" + b"s" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", "is longer than 16384 bytes"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"s" * 20_000 + b"\r\n\r\n", "is longer than 16384 bytes"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: s\r\n\r\n", "this is not a request"),
    ],
    ids=["tls", "line", "header", "length"],
)
@pytest.mark.parametrize("role", ["admin", "element", "ingester", "query"])
def test_what_is_not_http_is_a_problem_too(
    roles: SeparateRoles, role: RoleName, sent: bytes, detail: str
) -> None:
    host, port = str(urlsplit(roles.url(role)).netloc).split(":")

    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        problem = json.loads(response.read())

    assert response.status == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert detail in problem["detail"]
    assert "sss" not in str(problem)


@pytest.mark.parametrize(
    ("role", "path", "body", "name"),
    [
        ("admin", "service-accounts", '{"name": "a", "role": "READONLY", "role": "ADMIN"}', "role"),
        ("element", "fixity", '{"older_than": 1, "older_than": 2}', "older_than"),
        ("ingester", f"files/{NOBODYS}/finalize", '{"element_id": "a", "element_id": "b"}', "element_id"),
        ("query", "search", '{"attributes": {"case": "1", "case": "2"}}', "case"),
    ],
)
def test_a_body_that_gives_something_twice_is_refused(
    roles: SeparateRoles, role: RoleName, path: str, body: str, name: str
) -> None:
    answer = roles.request(
        role,
        "POST",
        f"/api/v1/{path}",
        body=body.encode(),
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["errors"] == [{"path": name, "message": "is there twice in one object"}]


def test_attributes_that_give_something_twice_store_nothing(roles: SeparateRoles) -> None:
    before = _kept(roles)
    described = (
        b'{"original_filename": "a", "retention_policy": "permanent", "retention_policy": "temporary"}'
    )

    answer = _upload(roles, headers={ATTRIBUTES_HEADER: base64.urlsafe_b64encode(described).decode()})

    assert (answer.status, answer.json()["errors"][0]["path"]) == (400, "retention_policy")
    assert _kept(roles) == before


def _headers(roles: SeparateRoles, name: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {roles.token()}",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }


def _upload(
    roles: SeparateRoles, content: bytes = b"", *, name: str = "any", headers: dict[str, str] | None = None
) -> Answer:
    return roles.request(
        "ingester",
        "POST",
        "/api/v1/files",
        body=content,
        headers={
            "Content-Type": "application/octet-stream",
            **_headers(roles, name),
            **(headers or {}),
        },
    )


def _download(roles: SeparateRoles, file_id: str) -> Answer:
    return roles.request("query", "GET", f"/api/v1/files/{file_id}/download")


def _found(roles: SeparateRoles, name: str) -> list[str]:
    answer = roles.request("query", "POST", "/api/v1/search", json_body={"query": name, "mode": "exact"})
    assert answer.status == 200, answer.body
    return [item["file_id"] for item in answer.json()["items"]]


def _kept(roles: SeparateRoles) -> set[str]:
    """Every file below the element's root but its catalog; also those that are being written."""
    return {
        str(path)
        for path in (roles.data / "storage").rglob("*")
        if path.is_file() and not path.name.startswith("catalog.db")
    }


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.1)

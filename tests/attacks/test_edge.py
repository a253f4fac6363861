"""Attacks on the edge of a running cluster: malformed, endless, slow, misleading requests, and misused URLs.

Each of them must fail, and leave the cluster serving everybody else.
"""

import base64
import http.server
import json
import re
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from uuid import uuid4

import pytest

from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from tests.cluster import OFFSETS, Answer, Cluster, request, running_cluster

TOKEN: Final = "/api/v1/auth/token"
ROLES: Final = tuple(OFFSETS)
PATIENCE: Final = 20.0
ENVIRONMENT: Final = {
    "ARTSTORE__SERVER__CONNECTIONS": "{head_timeout = 1.0}",
    "ARTSTORE__SERVER__CORS": '{origins = ["*"]}',
    "ARTSTORE__SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    "ARTSTORE__ADMIN__ALLOWED_NETWORKS": '["127.0.0.2/32"]',
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("attacked") / "data", environment=ENVIRONMENT) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def still_serving(cluster: Cluster) -> Iterator[None]:
    """Whatever was tried, everybody else is served."""
    yield
    for role in ROLES:
        assert request("GET", cluster.url(role, "/health/ready")).json()["status"] == "ok", role


def raw(cluster: Cluster, role: str, data: bytes, *, enough: bytes | None = None) -> bytes:
    """Send bytes to a role; everything it answers until it closes, as it must, or has said ``enough``."""
    with closing(socket.create_connection(("127.0.0.1", cluster.base_port + OFFSETS[role]))) as connection:
        connection.settimeout(PATIENCE)
        answered = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                answered += part
                if enough is not None and enough in answered:
                    break
        except (ConnectionError, BrokenPipeError):
            pass
        return answered


def statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", answered, re.MULTILINE)]


def upload(cluster: Cluster, content: bytes, **attributes: Any) -> Answer:
    header = UploadAttributes.model_construct(**attributes).encode_header()
    headers = {ATTRIBUTES_HEADER: header, "Content-Type": "application/octet-stream"}
    return cluster.request("ingester", "POST", "/api/v1/files", body=content, headers=headers)


def described(**attributes: str) -> dict[str, str]:
    """The header, unchecked by us."""
    text = base64.urlsafe_b64encode(json.dumps(attributes).encode()).decode()
    return {ATTRIBUTES_HEADER: text, "Content-Type": "application/octet-stream"}


# Requests that mean two things.


@pytest.mark.parametrize("role", ROLES)
def test_two_tokens_are_none(cluster: Cluster, role: str) -> None:
    protected = {"query": b"search?q=a", "ingester": f"finalizations/{uuid4()}".encode()}
    path = protected.get(role, b"files")
    line = f"Authorization: Bearer {cluster.token()}\r\n".encode()
    head = b"GET /api/v1/" + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

    assert statuses(raw(cluster, role, head + line + b"\r\n")) in ([200], [404])
    assert statuses(raw(cluster, role, head + line + line + b"\r\n")) == [401]


SMUGGLED: Final = b"GET /health/live?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 60\r\n",
        b"Content-Length: 4, 60\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length : 4\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: a\rContent-Length: 60\r\nContent-Length: 4\r\n",
    ],
)
def test_no_second_request_is_smuggled_in_the_body_of_a_first(
    cluster: Cluster, role: str, fields: bytes
) -> None:
    attack = b"POST /health/live HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n0\r\n\r\n" + SMUGGLED

    answered = statuses(raw(cluster, role, attack))

    assert 200 not in answered
    assert answered[:1] in ([400], [405])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "line",
    [b"X-Request-ID: a\rSet-Cookie: b", b"X: a\x00b", b"X: a\n b: c", b" X: folded", b"X\tY: z", b"no colon"],
)
def test_a_header_that_breaks_its_line_is_refused(cluster: Cluster, role: str, line: bytes) -> None:
    answered = raw(cluster, role, b"GET /health/live HTTP/1.1\r\nConnection: close\r\n" + line + b"\r\n\r\n")

    assert b"Set-Cookie" not in answered
    assert 200 not in statuses(answered) or line.startswith(b"X: a\n")


def test_no_name_of_a_file_adds_a_header_to_its_download(cluster: Cluster) -> None:
    answer = cluster.request(
        "ingester",
        "POST",
        "/api/v1/files",
        body=b"text",
        headers=described(original_filename="a\r\nSet-Cookie: b.txt"),
    )

    assert answer.status == 400


# Endless and slow ones.


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 1_000_000,
    ],
    ids=["line", "field", "fields", "endless"],
)
def test_a_head_that_is_too_large_is_refused(cluster: Cluster, role: str, head: bytes) -> None:
    answered = statuses(raw(cluster, role, head))

    assert answered in ([400], [])


@pytest.mark.parametrize(
    ("role", "path"), [("admin", TOKEN), ("admin", "/api/v1/service-accounts"), ("query", "/api/v1/search")]
)
def test_a_body_that_does_not_end_is_refused_soon(cluster: Cluster, role: str, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {cluster.token() if path != TOKEN else 'x'}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    answered = raw(cluster, role, head.encode() + chunk * 100, enough=b"content-too-large")

    assert statuses(answered) in ([413], [])


@pytest.mark.parametrize("role", ROLES)
def test_slow_heads_keep_nobody_out_and_are_ended(cluster: Cluster, role: str) -> None:
    port = cluster.base_port + OFFSETS[role]
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nX: ")

        assert request("GET", cluster.url(role, "/health/live")).status == 200

        for connection in slow:
            connection.settimeout(PATIENCE)
            assert b" 408 " in connection.recv(65536)
    finally:
        for connection in slow:
            connection.close()


# Names and ids that lead elsewhere.

CANARY: Final = "canary-7f3a9d"
ELSEWHERE: Final = (
    "..",
    "../../canary",
    "..%2f..%2fcanary",
    "%2e%2e%2f%2e%2e%2fcanary",
    "..%5c..%5ccanary",
    "%252e%252e%252fcanary",
    "%00",
    "canary%00.txt",
    "%2fetc%2fpasswd",
    "....%2f%2fcanary",
    "%c0%ae%c0%ae%2fcanary",
    "file:%2f%2f%2fetc%2fpasswd",
    "'%20OR%201=1--",
)


@pytest.mark.parametrize("role", ROLES)
def test_no_id_in_a_path_leads_out_of_its_place(cluster: Cluster, role: str) -> None:
    (cluster.data.parent / "canary").write_text(CANARY)
    document = request("GET", cluster.url(role, "/api/v1/openapi.json")).json()
    tried = 0

    for template, operations in document["paths"].items():
        for evil in ELSEWHERE if "{" in template else ():
            for method in operations:
                path = re.sub(r"\{\w+\}", evil, template)
                answer = cluster.request(
                    role, method.upper(), path, body=b"{}", headers={"Content-Type": "application/json"}
                )
                tried += 1
                assert 400 <= answer.status < 500, (method, path, answer)
                assert CANARY.encode() not in answer.body
                assert b"root:" not in answer.body

    assert tried >= len(ELSEWHERE)


@pytest.mark.parametrize(
    "name", ["../../../canary", "/etc/passwd", "..", ".", "a/../../b", "..\\..\\c", "con\x00", "x" * 600, ""]
)
def test_no_name_of_a_file_leads_out_of_the_storage(cluster: Cluster, name: str) -> None:
    before = {path for path in cluster.data.parent.rglob("*") if "storage" not in path.parts}

    answer = cluster.request(
        "ingester", "POST", "/api/v1/files", body=b"text", headers=described(original_filename=name)
    )

    assert answer.status in (201, 400)
    after = {path for path in cluster.data.parent.rglob("*") if "storage" not in path.parts}
    assert {path.name for path in after - before} <= {"index.db-wal", "index.db-shm"}


@pytest.mark.parametrize(
    ("name", "content_type", "content"),
    [
        ("page.html", "text/html", b"<script>alert(1)</script>"),
        ("image.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("code.js", "text/javascript", b"alert(1)"),
        ("text.txt", "text/plain", b"<html><script>alert(1)</script>"),
    ],
)
def test_what_somebody_uploaded_runs_in_no_browser(
    cluster: Cluster, name: str, content_type: str, content: bytes
) -> None:
    stored = upload(cluster, content, original_filename=name, content_type=content_type).json()
    path = f"/api/v1/files/{stored['file_id']}/download"

    for role in ("element", "query"):
        answer = cluster.request(role, "GET", path)
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("role", ROLES)
def test_a_page_without_an_origin_may_not_call_even_where_all_may(cluster: Cluster, role: str) -> None:
    url = cluster.url(role, "/health/live")

    assert "Access-Control-Allow-Origin" not in request("GET", url, headers={"Origin": "null"}).headers
    assert (
        request("GET", url, headers={"Origin": "https://a.example"}).headers["Access-Control-Allow-Origin"]
        == "*"
    )


# Credentials.


def ask_token(cluster: Cluster, client_id: str, secret: str, *, address: str) -> int:
    body = json.dumps({"client_id": client_id, "client_secret": secret}).encode()
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
    return request("POST", cluster.url("admin", TOKEN), body=body, headers=headers).status


def test_many_addresses_guess_no_more_than_one_and_lock_nobody_out(cluster: Cluster) -> None:
    client_id, secret = cluster.credentials("client-query")
    assert ask_token(cluster, client_id, secret, address="198.51.100.1") == 200

    guesses = [
        ask_token(cluster, client_id, f"ars_guess_{number}", address=f"203.0.113.{number}")
        for number in range(60)
    ]

    assert guesses.count(401) <= 20  # two windows of ten, should one end meanwhile
    assert guesses.count(429) >= 40
    assert ask_token(cluster, client_id, secret, address="198.51.100.1") == 200


def test_claiming_other_addresses_gives_no_more_tries(cluster: Cluster) -> None:
    """What stands before the address that the proxy itself added is anybody's invention."""
    answers = [
        ask_token(cluster, "sa_dev_nobody_0", "x", address=f"10.9.8.{number % 250}, 203.0.113.200")
        for number in range(700)
    ]

    assert answers.count(429) >= 690 - 20


# URLs that make us ask for them.


class Trap(http.server.BaseHTTPRequestHandler):
    """Notes who comes, and sends them on."""

    visits: list[str]
    location = ""

    def do_GET(self) -> None:
        self.visits.append(self.path)
        self.send_response(302)
        self.send_header("Location", self.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def trap(address: str, location: str = "") -> Generator[tuple[int, list[str]], None, None]:
    """A server inside our network: its port, and who came."""
    visits: list[str] = []
    handler = type("OneTrap", (Trap,), {"visits": visits, "location": location})
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.server_port, visits
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def register(cluster: Cluster, url: str) -> Answer:
    return cluster.request("admin", "POST", "/api/v1/storage-elements", json_body={"url": url})


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "127.1"])
def test_addresses_in_disguise_lead_nowhere(cluster: Cluster, host: str) -> None:
    with trap("127.0.0.1") as (port, visits):
        answer = register(cluster, f"http://{host}:{port}")

    assert answer.status in (400, 503), answer
    assert visits == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "[::ffff:127.0.0.1]"])
def test_admin_asks_nobody_inside_its_own_network_for_a_stranger(cluster: Cluster, host: str) -> None:
    with trap("127.0.0.1") as (port, visits):
        answer = register(cluster, f"http://{host}:{port}")

    assert answer.status == 400, answer
    assert "allowed_networks" in answer.body.decode()
    assert visits == []


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)
def test_addresses_that_are_nobodys_element_are_not_even_tried(cluster: Cluster, host: str) -> None:
    started = time.monotonic()

    answer = register(cluster, f"http://{host}/latest/meta-data")

    assert answer.status == 400, answer
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://127.0.0.1", "http://user@10.0.0.1", "//10.0.0.1"]
)
def test_what_is_no_plain_url_of_a_server_is_refused(cluster: Cluster, url: str) -> None:
    assert register(cluster, url).status == 400


def test_where_an_allowed_server_redirects_to_nobody_follows(cluster: Cluster) -> None:
    with (
        trap("127.0.0.1") as (inner, visits),
        trap("127.0.0.2", location=f"http://127.0.0.1:{inner}/secret") as (outer, arrivals),
    ):
        answer = register(cluster, f"http://127.0.0.2:{outer}")

    assert answer.status == 502, answer
    assert arrivals
    assert visits == []

"""Upload forms: what is read of them, and how bad ones are answered."""

import hashlib
import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from artstore.core.http.forms import MAX_FIELDS_SIZE, MAX_PARTS, read_upload_form
from artstore.core.http.middlewares import identify_request, render_problems

LIMIT = 3 * 1024 * 1024
BOUNDARY = "----boundary"
Client = TestClient[web.Request, web.Application]
Post = Callable[[bytes], Awaitable[tuple[int, Any]]]


async def receive(request: web.Request) -> web.Response:
    form = await read_upload_form(request, limit=LIMIT, stall_timeout=5)
    digest = hashlib.sha256()
    async for chunk in form.content:
        digest.update(chunk)
    said = form.attributes.model_dump(exclude_defaults=True, mode="json")
    return web.json_response({"said": said, "sha256": digest.hexdigest()})


@pytest.fixture
async def client() -> AsyncGenerator[Client, None]:
    app = web.Application(middlewares=[identify_request, render_problems])
    app.router.add_post("/", receive)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
def post(client: Client) -> Post:
    async def post(body: bytes) -> tuple[int, Any]:
        headers = {"Content-Type": f'multipart/form-data; boundary="{BOUNDARY}"'}
        async with client.post("/", data=io.BytesIO(body), headers=headers) as response:
            return response.status, await response.json(content_type=None)

    return post


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def file(content: bytes = b"data", *, name: str = "a.txt", headers: tuple[str, ...] = ()) -> bytes:
    return part(f'name="file"; filename="{name}"', content, *headers)


async def test_fields_and_the_file_arrive_as_they_were_sent(post: Post) -> None:
    content = b"\r\n--" + BOUNDARY.encode()[:-1] + bytes(range(256)) * 8000

    status, answer = await post(
        form(
            part('name="description"', "Отчёт".encode()),
            part('name="tags"', b'["2026"]'),
            part('name="metadata"', b'{"n": 1}'),
            part('name="retention_policy"', b"temporary"),
            part('name="ttl_days"', b"7"),
            file(content, name="Отчёт за год.pdf", headers=("Content-Type: application/pdf",)),
        )
    )

    assert status == 200
    assert answer["sha256"] == hashlib.sha256(content).hexdigest()
    assert answer["said"] == {
        "original_filename": "Отчёт за год.pdf",
        "content_type": "application/pdf",
        "description": "Отчёт",
        "tags": ["2026"],
        "custom_attributes": {"n": 1},
        "retention_policy": "temporary",
        "ttl_days": 7,
    }


async def test_a_form_of_an_ordinary_client_library_is_understood(client: Client) -> None:
    fields = aiohttp.FormData(quote_fields=False)
    fields.add_field("description", "yearly")
    fields.add_field("file", b"data", filename="Отчёт.pdf")

    async with client.post("/", data=fields) as response:
        answer = await response.json()

    assert answer["said"] == {"original_filename": "Отчёт.pdf", "description": "yearly"}


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("%D0%9E%D1%82%D1%87%D1%91%D1%82%202026.pdf", "Отчёт 2026.pdf"),
        ("100%25.pdf", "100%25.pdf"),
        ("annual%20report.pdf", "annual%20report.pdf"),
        ("broken%D0.pdf", "broken%D0.pdf"),
    ],
)
async def test_a_percent_encoded_file_name_is_decoded_where_it_surely_is_one(
    post: Post, sent: str, name: str
) -> None:
    _, answer = await post(form(file(name=sent)))

    assert answer["said"] == {"original_filename": name}


async def test_an_extended_file_name_is_decoded(post: Post) -> None:
    disposition = 'name="file"; filename="O.pdf"; filename*=UTF-8\'\'%D0%9E.pdf'

    _, answer = await post(form(part(disposition, b"data")))

    assert answer["said"] == {"original_filename": "О.pdf"}


async def test_an_empty_file_is_a_file(post: Post) -> None:
    status, answer = await post(form(file(b"")))

    assert status == 200
    assert answer["sha256"] == hashlib.sha256(b"").hexdigest()


async def test_the_type_that_means_unknown_is_not_taken_for_one(post: Post) -> None:
    _, answer = await post(form(file(headers=("Content-Type: application/octet-stream",))))

    assert answer["said"] == {"original_filename": "a.txt"}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (form(part('name="description"', b"x")), "file", "is required"),
        (form(), "file", "is required"),
        (form(file(), part('name="description"', b"x")), "description", "comes after the file"),
        (form(part('name="tags"', b"[]"), part('name="tags"', b"[]"), file()), "tags", "more than once"),
        (form(part('name="tags"', b"[oops"), file()), "tags", "is not JSON"),
        (form(part('name="desription"', b"x"), file()), "desription", "did you mean description?"),
        (form(part('name="description"', b"\xff"), file()), "description", "is not UTF-8"),
        (form(part('name="ttl_days"', b"366"), file()), "ttl_days", "less than or equal to 365"),
        (form(file(headers=("Content-Transfer-Encoding: base64",))), "file", "Content-Transfer-Encoding"),
        (form(file(headers=("Content-Type: text",))), "content_type", "must be a media type"),
        (form(file(name="../a.txt")), "original_filename", "without a path"),
        (form(part('name="file"', b"x")), "original_filename", "is required"),
    ],
)
async def test_a_wrong_field_is_named(post: Post, body: bytes, path: str, message: str) -> None:
    status, problem = await post(body)

    assert status == 400
    assert [(error["path"], message in error["message"]) for error in problem["errors"]] == [(path, True)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"plain text", id="no boundary"),
        pytest.param(form(file())[:-6], id="end is missing"),
        pytest.param(part('name="description"', b"x"), id="end is missing before the file"),
        pytest.param(form(f"--{BOUNDARY}\r\n\r\nx\r\n".encode()), id="part without a name"),
        pytest.param(
            form(*[part(f'name="{n}"', b"") for n in range(MAX_PARTS)], file()), id="too many parts"
        ),
    ],
)
async def test_what_is_no_form_is_refused(post: Post, body: bytes) -> None:
    status, problem = await post(body)

    assert status == 400
    assert problem["type"] == "urn:artstore:problem:invalid-request"


async def test_fields_larger_than_any_sidecar_are_refused(post: Post) -> None:
    status, problem = await post(form(part('name="metadata"', b" " * (MAX_FIELDS_SIZE + 1)), file()))

    assert status == 413
    assert str(MAX_FIELDS_SIZE) in problem["detail"]


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 4 * MAX_FIELDS_SIZE])
async def test_a_file_over_the_limit_is_refused(post: Post, size: int) -> None:
    status, problem = await post(form(file(bytes(size))))

    assert status == 413
    assert problem["type"] == "urn:artstore:problem:content-too-large"


async def test_another_media_type_is_refused(client: Client) -> None:
    async with client.post("/", data=b"{}", headers={"Content-Type": "application/json"}) as response:
        status = response.status

    assert status == 415

"""Storing files over HTTP: what is stored, and what is refused without leaving anything."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import pytest
from aiohttp import FormData

from artstore.core.exchange import DELEGATION_HEADER, Delegation
from artstore.core.testing import body
from artstore.core.upload_attributes import ATTRIBUTES_HEADER
from tests.services.storage_element.faulty_storage import with_free_space
from tests.services.storage_element.harness import (
    MINT,
    NOTHING_KEPT_FREE,
    TEMPORARY,
    WHEN_READ,
    ElementClient,
    SlowBody,
    StartElement,
    connection,
    sha256,
    upload_head,
)

FILE_ID = UUID("0197b2c4-0000-7000-8000-000000000001")
SMALL = {"max_file_size": 100_000, "max_attributes_size": 4096}


def encoded(content: object) -> str:
    """JSON in a header."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.fixture
async def nothing_kept(element: ElementClient) -> AsyncIterator[None]:
    """Checks, after the test, that the element has kept nothing of it."""
    yield
    await element.assert_nothing_kept()


async def test_a_stored_file_is_given_back_byte_for_byte(element: ElementClient) -> None:
    content = bytes(range(256)) * 40

    stored = await element.stored(content, name="Отчёт.bin")

    assert stored["checksum"] == sha256(content)
    assert stored["file_size"] == len(content)
    assert await element.download(stored["file_id"]) == content


async def test_the_answer_says_what_was_stored_and_where_in_the_journal(element: ElementClient) -> None:
    answer = await element.put(b"data", file_id=FILE_ID, tags=["2026"], description="Годовой отчёт")

    said = answer.json()
    assert answer.status == 201
    assert answer.headers["Artstore-Position"] == "se-01:1"
    assert said["element_id"] == "se-01"
    assert said["entry"]["operation"] == "create"
    assert said["entry"]["file_id"] == str(FILE_ID)
    assert said["attributes"]["tags"] == ["2026"]
    assert said["attributes"]["description"] == "Годовой отчёт"
    assert said["attributes"]["version"] == 1


async def test_data_and_sidecar_lie_side_by_side(element: ElementClient) -> None:
    stored = await element.stored(b"data", name="report.pdf")

    data, sidecar = await element.placed_files()

    assert data.read_bytes() == b"data"
    assert data.name == stored["storage_filename"]
    assert sidecar.name == f"{data.name}.attr.json"
    assert json.loads(sidecar.read_bytes()) == stored


async def test_an_empty_file_is_a_file(element: ElementClient) -> None:
    stored = await element.stored(b"")

    assert stored["file_size"] == 0
    assert stored["checksum"] == sha256(b"")
    assert await element.download(stored["file_id"]) == b""


async def test_a_body_of_unknown_length_is_stored(element: ElementClient) -> None:
    chunks = [bytes([number]) * 100_000 for number in range(30)]

    stored = await element.stored(body(*chunks))

    assert stored["checksum"] == sha256(b"".join(chunks))


async def test_a_form_is_stored_with_its_fields(element: ElementClient) -> None:
    form = FormData(quote_fields=False)
    form.add_field("description", "Годовой отчёт")
    form.add_field("tags", '["2026"]')
    form.add_field("metadata", '{"project": "альфа"}')
    form.add_field("file", b"data", filename="Отчёт за год.pdf", content_type="application/pdf")

    answer = await element.request("POST", "/api/v1/files/upload", data=form)

    stored = answer.json()["attributes"]
    assert answer.status == 201
    assert stored["original_filename"] == "Отчёт за год.pdf"
    assert stored["content_type"] == "application/pdf"
    assert stored["description"] == "Годовой отчёт"
    assert stored["custom_attributes"] == {"project": "альфа"}
    assert await element.download(stored["file_id"]) == b"data"


def form(*fields: tuple[str, str], file_last: bool = True) -> FormData:
    data = FormData()
    if not file_last:
        data.add_field("file", b"data", filename="a.txt")
    for name, value in fields:
        data.add_field(name, value)
    if file_last:
        data.add_field("file", b"data", filename="a.txt")
    return data


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    ("data", "path"),
    [
        (form(("description", "x"), file_last=False), "description"),
        (form(("tags", "[]"), ("tags", "[]")), "tags"),
        (form(("desription", "x")), "desription"),
        (form(("ttl_days", "0"), ("retention_policy", "temporary")), "ttl_days"),
        (FormData({"description": "x"}, default_to_multipart=True), "file"),
    ],
)
async def test_a_wrong_form_is_refused_by_the_name_of_its_field(
    element: ElementClient, data: FormData, path: str
) -> None:
    answer = await element.request("POST", "/api/v1/files/upload", data=data)

    assert answer.status == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "multipart/form-data"}, 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 400),
        ({"Content-Type": "application/json"}, 415),
    ],
)
async def test_what_is_no_form_is_refused(
    element: ElementClient, headers: dict[str, str], status: int
) -> None:
    answer = await element.request("POST", "/api/v1/files/upload", data=b"data", headers=headers)

    assert answer.status == status


@pytest.mark.usefixtures("nothing_kept")
async def test_a_wrong_digest_is_refused(element: ElementClient) -> None:
    wrong = base64.b64encode(bytes(32)).decode()

    answer = await element.put(b"data", headers={"Repr-Digest": f"sha-256=:{wrong}:"})

    assert answer.status == 422
    assert answer.problem == "checksum-mismatch"


async def test_a_right_digest_is_accepted(element: ElementClient) -> None:
    answer = await element.put(b"data", checksum=sha256(b"data"))

    assert answer.status == 201


async def test_a_file_that_says_it_is_too_large_is_refused_without_its_body(start: StartElement) -> None:
    async with start(element=SMALL) as element, connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=10**15))

        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        await element.assert_nothing_kept()


async def test_a_file_that_turns_out_too_large_is_refused(start: StartElement) -> None:
    async with start(element=SMALL) as element:
        answer = await element.put(body(*[bytes(10_000)] * 11))

        assert answer.status == 413
        assert answer.problem == "content-too-large"
        await element.assert_nothing_kept()


async def test_a_client_that_goes_away_leaves_nothing(element: ElementClient) -> None:
    async with connection(element) as (_, writer):
        writer.write(upload_head(FILE_ID, content_length=3_000_000) + bytes(2_000_000))
        await writer.drain()

    await element.wait_for_upload("aborted")
    await element.assert_nothing_kept()


async def test_a_body_that_ends_early_leaves_nothing(element: ElementClient) -> None:
    async with connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=100) + b"short")
        writer.write_eof()
        await reader.read()

    await element.wait_for_upload("aborted")
    await element.assert_nothing_kept()


async def test_a_body_longer_than_declared_is_refused(element: ElementClient) -> None:
    async with connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=4) + b"data and more\r\n\r\n")
        answer = await reader.readline()

    assert b" 400 " in answer
    await element.assert_nothing_kept()


async def test_a_client_that_stalls_is_told_so_and_leaves_nothing(start: StartElement) -> None:
    async with start(server={"stall_timeout": 0.05}) as element, connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=100) + b"some")

        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        await element.assert_nothing_kept()


async def test_a_full_element_takes_nothing(start: StartElement) -> None:
    full = {"fraction": 0.999999, "size": 10**18}
    thresholds = {"warning": full, "critical": full, "full": full}
    async with start(element={"capacity": thresholds}) as element:
        answer = await element.put(b"data")

        assert answer.status == 507
        assert answer.problem == "insufficient-storage"
        assert (await element.get("/api/v1/capacity"))["status"] == "full"
        await element.assert_nothing_kept()


async def test_what_cannot_fit_is_refused_without_its_body(element: ElementClient) -> None:
    async with connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=10**12))

        assert (await reader.readline()).startswith(b"HTTP/1.1 507")
        await element.assert_nothing_kept()


async def test_uploads_under_way_count_against_the_room(start: StartElement) -> None:
    async with start(wrap=with_free_space(1_000_000), element=NOTHING_KEPT_FREE) as element:
        async with connection(element) as (_, writer):
            writer.write(upload_head(FILE_ID, content_length=700_000) + b"begin")
            await element.wait_for_metric("artstore_element_wal_pending", 1)

            answer = await element.put(bytes(700_000))

            assert answer.status == 507
        await element.wait_for_upload("aborted")
        assert (await element.put(bytes(700_000))).status == 201


async def test_a_body_of_unknown_length_is_refused_when_there_is_no_more_room(start: StartElement) -> None:
    async with start(wrap=with_free_space(3_000_000), element=NOTHING_KEPT_FREE) as element:
        answer = await element.put(body(*[bytes(500_000)] * 8))

        assert answer.status == 507
        await element.assert_nothing_kept()


async def test_the_same_again_is_answered_with_what_is_stored(element: ElementClient) -> None:
    first = await element.put(b"data", file_id=FILE_ID, tags=["first"])
    again = await element.put(b"data", file_id=FILE_ID, tags=["second"])

    assert (first.status, again.status) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["Artstore-Position"] == first.headers["Artstore-Position"]
    assert len(await element.placed_files()) == 2


async def test_another_content_under_the_same_id_is_refused(element: ElementClient) -> None:
    await element.put(b"data", file_id=FILE_ID)

    answers = [
        await element.put(other, file_id=FILE_ID)
        for other in (b"DATA", b"longer data", b"", bytes(3_000_000))
    ]

    assert [(answer.status, answer.problem) for answer in answers] == [(409, "already-exists")] * 4
    assert await element.download(str(FILE_ID)) == b"data"


@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_the_same_again_of_unknown_length_is_compared(element: ElementClient, size: int) -> None:
    await element.put(bytes(size), file_id=FILE_ID)

    same = await element.put(body(bytes(size)), file_id=FILE_ID)
    other = await element.put(body(bytes(size - 1), b"x"), file_id=FILE_ID)

    assert (same.status, other.status) == (200, 409)


async def test_who_sends_the_same_again_slowly_holds_up_nobody(element: ElementClient) -> None:
    kept, gone = [(await element.stored(b"content", **TEMPORARY))["file_id"] for _ in range(2)]
    bodies = [SlowBody(b"content"), SlowBody(b"content")]
    again = [
        asyncio.create_task(element.put(each.chunks(), file_id=UUID(file_id), headers=WHEN_READ))
        for each, file_id in zip(bodies, (kept, gone), strict=True)
    ]
    for each in bodies:
        await each.is_read.wait()

    hold = {"id": "case-7", "reason": "court"}
    held = await element.request("POST", f"/api/v1/files/{kept}/holds", json=hold)
    deleted = await element.request("DELETE", f"/api/v1/files/{gone}")
    for each in bodies:
        each.may_go_on.set()
    same, overtaken = await asyncio.gather(*again)

    assert [held.status, deleted.status] == [201, 200]
    assert (same.status, same.json()["attributes"]["version"]) == (200, 2)
    assert (overtaken.status, overtaken.problem) == (409, "already-exists")


async def test_the_same_again_with_a_digest_it_does_not_have_is_refused(element: ElementClient) -> None:
    await element.put(b"data", file_id=FILE_ID)

    answer = await element.put(b"DATA", file_id=FILE_ID, checksum=sha256(b"data"))

    assert answer.status == 422


async def test_of_two_uploads_under_one_id_one_is_stored_and_the_other_compared(
    element: ElementClient,
) -> None:
    answers = await asyncio.gather(*(element.put(b"data", file_id=FILE_ID) for _ in range(8)))
    other = await asyncio.gather(*(element.put(b"DATA", file_id=FILE_ID) for _ in range(2)))

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert [answer.status for answer in other] == [409, 409]
    assert await element.file_ids() == [str(FILE_ID)]


async def test_the_id_of_a_deleted_file_is_not_given_again(element: ElementClient) -> None:
    await element.put(b"data", file_id=FILE_ID, **TEMPORARY)
    await element.request("DELETE", f"/api/v1/files/{FILE_ID}")

    answer = await element.put(b"data", file_id=FILE_ID)

    assert answer.status == 409
    assert "deleted" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "name", "content_type"),
    [
        (b"%PDF-1.7\n", "letter", "application/pdf"),
        ("Текст\n".encode(), "note.txt", "text/plain; charset=utf-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture.png", "image/png"),
        (b"\x00\x01\x02", "unknown", "application/octet-stream"),
    ],
)
async def test_the_type_is_found_out_when_the_client_does_not_say_it(
    element: ElementClient, content: bytes, name: str, content_type: str
) -> None:
    stored = await element.stored(content, name=name)

    assert stored["content_type"] == content_type


async def test_the_type_that_the_client_says_is_kept(element: ElementClient) -> None:
    answer = await element.put(b"%PDF-1.7\n", headers={"Content-Type": "text/x-draft; charset=koi8-r"})

    assert answer.json()["attributes"]["content_type"] == "text/x-draft; charset=koi8-r"


async def test_a_file_is_stored_in_the_name_of_the_principal(element: ElementClient) -> None:
    token = MINT(scope="storage:write", sub="sa_prod_scanner_1", name="scanner")

    answer = await element.put(b"data", token=token)

    stored = answer.json()["attributes"]
    assert stored["created_by_id"] == "sa_prod_scanner_1"
    assert stored["created_by_username"] == "scanner"
    assert "_scanner_" in stored["storage_filename"]


async def test_a_delegate_stores_in_the_name_of_another(element: ElementClient) -> None:
    delegation = Delegation(id="u-1", username="иванова", fullname="Иванова А. П.").encode_header()

    answer = await element.put(b"data", headers={DELEGATION_HEADER: delegation})

    stored = answer.json()["attributes"]
    assert stored["created_by_id"] == "u-1"
    assert stored["created_by_username"] == "иванова"
    assert stored["created_by_fullname"] == "Иванова А. П."


@pytest.mark.usefixtures("nothing_kept")
async def test_storing_in_anothers_name_needs_its_scope(element: ElementClient) -> None:
    delegation = Delegation(id="u-1", username="иванова").encode_header()

    answer = await element.put(
        b"data", token=MINT(scope="storage:write"), headers={DELEGATION_HEADER: delegation}
    )

    assert answer.status == 403
    assert "uploads:delegate" in answer.json()["detail"]


@pytest.mark.usefixtures("nothing_kept")
async def test_a_malformed_delegation_is_refused(element: ElementClient) -> None:
    malformed = ["&", "0", "e30", encoded({"id": "u-1"}), encoded({"id": "u-1", "username": "a\0b"})]

    answers = [await element.put(b"data", headers={DELEGATION_HEADER: header}) for header in malformed]

    assert [answer.status for answer in answers] == [400] * len(malformed)
    assert all(answer.json()["errors"] for answer in answers)


async def test_attributes_larger_than_a_sidecar_may_be_are_refused_without_the_body(
    start: StartElement,
) -> None:
    async with start(element=SMALL) as element, connection(element) as (reader, writer):
        writer.write(upload_head(FILE_ID, content_length=100, custom_attributes={"text": "x" * 4096}))

        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        await element.assert_nothing_kept()


async def test_a_form_may_carry_more_attributes_than_a_header(element: ElementClient) -> None:
    form = FormData({"metadata": json.dumps({"text": "я" * 20_000})}, default_to_multipart=True)
    form.add_field("file", b"data", filename="a.txt")

    answer = await element.request("POST", "/api/v1/files/upload", data=form)

    assert answer.status == 201
    assert answer.json()["attributes"]["custom_attributes"] == {"text": "я" * 20_000}


async def test_unusual_names_are_stored_and_given_back(element: ElementClient) -> None:
    for name in ["ж" * 300 + ".pdf", "📄 отчёт.pdf", ".bashrc", "a:b*c?.txt", " "]:
        stored = await element.stored(b"data", name=name)

        answer = await element.request("GET", f"/api/v1/files/{stored['file_id']}/download")

        assert stored["original_filename"] == name
        assert quote(name, safe="") in answer.headers["Content-Disposition"]
    assert all(len(path.name.encode()) <= 255 for path in await element.placed_files())


@pytest.mark.usefixtures("nothing_kept")
async def test_names_that_are_none_are_refused(element: ElementClient) -> None:
    names = ["../../etc/passwd", "a/b", "a\\b", "a\0b", "..", "", "x" * 501]

    answers = [
        await element.request(
            "PUT",
            f"/api/v1/files/{FILE_ID}/content",
            data=b"data",
            headers={ATTRIBUTES_HEADER: encoded({"original_filename": name})},
        )
        for name in names
    ]

    assert [answer.status for answer in answers] == [400] * len(names)
    assert {answer.json()["errors"][0]["path"] for answer in answers} == {"original_filename"}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Range": "bytes 0-3/10"}, 400),
        ({ATTRIBUTES_HEADER: "not base64url!"}, 400),
        ({ATTRIBUTES_HEADER: encoded({"original_filename": "a", "tagz": []})}, 400),
        ({"Content-Type": "nonsense"}, 400),
        ({"Repr-Digest": "sha-256=:AAAA:"}, 400),
    ],
)
async def test_headers_that_mislead_are_refused(
    element: ElementClient, headers: dict[str, str], status: int
) -> None:
    answer = await element.put(b"data", headers=headers)

    assert answer.status == status


async def test_every_operation_needs_its_scope(element: ElementClient) -> None:
    file = f"/api/v1/files/{FILE_ID}"
    operations = [
        ("storage:read", "PUT", f"{file}/content"),
        ("storage:read", "POST", "/api/v1/files/upload"),
        ("storage:read", "PATCH", file),
        ("storage:write", "DELETE", file),
        ("storage:write", "GET", file),
        ("storage:write", "GET", f"{file}/download"),
        ("storage:write", "GET", "/api/v1/files"),
        ("storage:write", "GET", "/api/v1/journal"),
        ("storage:write", "GET", "/api/v1/info"),
        ("storage:write", "GET", "/api/v1/capacity"),
    ]

    answers = [
        await element.request(method, path, token=MINT(scope=scope)) for scope, method, path in operations
    ]

    assert [answer.status for answer in answers] == [403] * len(operations)


async def test_an_id_that_is_none_is_refused(element: ElementClient) -> None:
    answer = await element.request("PUT", "/api/v1/files/not-an-id/content", data=b"data")

    assert answer.status == 400
    assert answer.json()["errors"][0]["path"] == "file_id"


@pytest.mark.parametrize("mode", ["ro", "ar"])
async def test_an_element_that_takes_no_files_says_so(start: StartElement, mode: str) -> None:
    async with start(element={"mode": mode}) as element:
        answer = await element.put(b"data")

        assert answer.status == 409
        assert answer.problem == "mode-not-allowed"
        assert mode in answer.json()["detail"]


async def test_the_path_of_form_uploads_has_one_method(element: ElementClient) -> None:
    methods = ["GET", "PATCH", "DELETE", "PUT"]

    answers = [await element.request(method, "/api/v1/files/upload") for method in methods]

    assert [(answer.status, answer.headers["Allow"]) for answer in answers] == [(405, "POST")] * 4

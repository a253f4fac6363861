"""Uploads that go well, and what of them is refused."""

import base64
import hashlib
import json

import pytest

from artstore.core.exchange import POSITION_HEADER
from artstore.core.http.bodies import repr_digest
from artstore.core.ids import new_file_id
from artstore.core.upload_attributes import ATTRIBUTES_HEADER
from tests.services.ingester.harness import MIB, Ingesting, pieces, whole
from tests.services.storage_element.harness import sha256

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def ingesting(shared_ingesting: Ingesting) -> Ingesting:
    """One cluster for all tests of this module: none of them changes it but by storing files."""
    return shared_ingesting


@pytest.mark.parametrize("size", [0, 10_000, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
async def test_an_upload_is_stored_byte_for_byte(ingesting: Ingesting, size: int) -> None:
    content = whole(size)

    answer = await ingesting.post(content, name="данные.bin", tags=["a"])

    stored = answer.json()
    assert answer.status == 201
    assert (stored["file_size"], stored["checksum"]) == (size, sha256(content))
    assert (stored["original_filename"], stored["element_id"]) == ("данные.bin", "se-01")
    assert await ingesting.content(stored["file_id"]) == content


@pytest.mark.parametrize("size", [10_000, 3 * MIB])
async def test_an_upload_of_unknown_length_is_stored_byte_for_byte(ingesting: Ingesting, size: int) -> None:
    answer = await ingesting.post(pieces(size))

    assert answer.status == 201
    assert await ingesting.content(answer.json()["file_id"]) == whole(size)


async def test_an_upload_is_registered_before_it_is_answered(ingesting: Ingesting) -> None:
    answer = await ingesting.post()

    registered = await ingesting.registered(answer.json()["file_id"])
    assert registered.json()["position"] == answer.headers[POSITION_HEADER] == answer.json()["position"]


async def test_the_answer_says_where_the_file_is_found(ingesting: Ingesting) -> None:
    answer = await ingesting.post()

    expected = f"{ingesting.roles.settings().url('query')}/api/v1/files/{answer.json()['file_id']}"
    assert answer.headers["Location"] == expected


async def test_what_the_headers_say_is_kept(ingesting: Ingesting) -> None:
    content = b"plain text"
    headers = {"Content-Type": "text/markdown", "Repr-Digest": repr_digest(sha256(content))}

    answer = await ingesting.post(
        content,
        headers=headers,
        description="Годовой отчёт",
        tags=["2026", "отчёт"],
        custom_attributes={"n": 1},
        retention_policy="temporary",
        ttl_days=7,
    )

    attributes = (await ingesting.registered(answer.json()["file_id"])).json()["attributes"]
    assert attributes["content_type"] == "text/markdown"
    assert attributes["description"] == "Годовой отчёт"
    assert attributes["tags"] == ["2026", "отчёт"]
    assert attributes["custom_attributes"] == {"n": 1}
    assert attributes["retention"]["policy"] == answer.json()["retention_policy"] == "temporary"
    assert answer.json()["expires_at"] == attributes["retention"]["expires_at"]


async def test_the_name_may_come_from_the_content_disposition(ingesting: Ingesting) -> None:
    url = f"{ingesting.ingester.url}/api/v1/files"
    headers = {"Content-Disposition": "attachment; filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82.txt"}

    answer = await ingesting.roles.request("POST", url, data=b"x", headers=headers)

    assert answer.json()["original_filename"] == "Отчёт.txt"


async def test_a_file_belongs_to_its_uploader_and_not_to_the_ingester(ingesting: Ingesting) -> None:
    answer = await ingesting.post()

    attributes = (await ingesting.registered(answer.json()["file_id"])).json()["attributes"]
    assert attributes["created_by_username"] == "administrator"
    assert attributes["created_by_id"].startswith("sa_dev_administrator_")


async def test_a_form_is_stored_with_its_fields(ingesting: Ingesting) -> None:
    content = whole(3 * MIB)

    answer = await ingesting.post_form(
        content,
        name="Отчёт 🌍.bin",
        description="x",
        tags='["a", "b"]',
        metadata='{"n": [1, {"m": "ж"}]}',
        retention_policy="temporary",
        checksum=sha256(content),
    )

    stored = answer.json()
    attributes = (await ingesting.registered(stored["file_id"])).json()["attributes"]
    assert answer.status == 201
    assert (stored["original_filename"], stored["retention_policy"]) == ("Отчёт 🌍.bin", "temporary")
    assert (attributes["tags"], attributes["custom_attributes"]) == (["a", "b"], {"n": [1, {"m": "ж"}]})
    assert await ingesting.content(stored["file_id"]) == content


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_attributes_that_outgrow_a_header_are_stored_too(ingesting: Ingesting, size: int) -> None:
    metadata = {"text": "ж" * 10_000, 'a "quoted" name': [True, None, 0.5]}

    answer = await ingesting.post_form(
        whole(size), name='a "b".txt', metadata=json.dumps(metadata), description="d", tags='["t"]'
    )

    stored = answer.json()
    attributes = (await ingesting.registered(stored["file_id"])).json()["attributes"]
    assert answer.status == 201
    assert attributes["custom_attributes"] == metadata
    assert (attributes["original_filename"], attributes["tags"]) == ('a "b".txt', ["t"])
    assert await ingesting.content(stored["file_id"]) == whole(size)


async def test_sending_the_same_again_stores_nothing(ingesting: Ingesting) -> None:
    file_id = new_file_id()
    first = await ingesting.put(file_id, b"same")

    kept = ingesting.kept()

    again = await ingesting.put(file_id, b"same")

    assert (first.status, again.status) == (201, 200)
    assert again.json() == first.json()
    assert ingesting.kept() == kept


async def test_other_content_under_the_same_id_is_refused(ingesting: Ingesting) -> None:
    file_id = new_file_id()
    await ingesting.put(file_id, b"first")

    answer = await ingesting.put(file_id, b"other")

    assert (answer.status, answer.problem) == (409, "already-exists")
    assert await ingesting.content(str(file_id)) == b"first"


async def test_an_idempotency_key_makes_a_retry_harmless(ingesting: Ingesting) -> None:
    first = await ingesting.post(b"same", headers={"Idempotency-Key": "order 1"})

    again = await ingesting.post(b"same", headers={"Idempotency-Key": "order 1"})
    other = await ingesting.post(b"same", headers={"Idempotency-Key": "order 2"})

    assert (first.status, again.status, other.status) == (201, 200, 201)
    assert again.json()["file_id"] == first.json()["file_id"] != other.json()["file_id"]


async def test_idempotency_keys_of_two_accounts_never_meet(ingesting: Ingesting) -> None:
    url = f"{ingesting.admin.url}/api/v1/service-accounts"
    account = await ingesting.roles.request("POST", url, json={"name": "other", "role": "USER"})
    credentials = account.json()
    token = await ingesting.roles.issue_to(credentials["client_id"], credentials["client_secret"])
    headers = {"Idempotency-Key": "of two accounts"}

    first = await ingesting.post(b"same", headers=headers)
    second = await ingesting.post(b"same", headers=headers, token=token)

    assert (first.status, second.status) == (201, 201)


@pytest.mark.parametrize("key", [" ", "ж", "x" * 256])
async def test_an_idempotency_key_that_is_none_is_refused(ingesting: Ingesting, key: str) -> None:
    answer = await ingesting.post(headers={"Idempotency-Key": key})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.json()["errors"][0]["path"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "name",
    ["ж" * 300, "🌍🌎🌏.txt", ".profile", "a  b", "com1.txt", "name.tar.gz", "‏עברית.txt"],
)
async def test_an_unusual_name_is_kept(ingesting: Ingesting, name: str) -> None:
    answer = await ingesting.post(b"content", name=name)

    assert answer.status == 201
    assert answer.json()["original_filename"] == name
    assert await ingesting.content(answer.json()["file_id"]) == b"content"


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "c:\\a", "a\0b", "...", "", "x" * 501, "a\nb"])
async def test_what_is_no_name_is_refused(ingesting: Ingesting, name: str) -> None:
    before = ingesting.kept()
    said = base64.urlsafe_b64encode(json.dumps({"original_filename": name}).encode()).decode()
    url = f"{ingesting.ingester.url}/api/v1/files"

    answer = await ingesting.roles.request("POST", url, data=b"x", headers={ATTRIBUTES_HEADER: said})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.json()["errors"][0]["path"] == "original_filename"
    assert ingesting.kept() == before


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"original_filename": "a", "tag": ["x"]}, "tag"),
        ({"original_filename": "a", "ttl_days": 3}, "ttl_days"),
        ({"original_filename": "a", "retention_policy": "forever"}, "retention_policy"),
        ({"original_filename": "a", "tags": ["x"] * 51}, "tags"),
        ({"original_filename": "a", "description": "x" * 1001}, "description"),
    ],
)
async def test_a_wrong_field_is_named(ingesting: Ingesting, said: dict[str, object], path: str) -> None:
    header = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    url = f"{ingesting.ingester.url}/api/v1/files"

    answer = await ingesting.roles.request("POST", url, data=b"x", headers={ATTRIBUTES_HEADER: header})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.json()["errors"][0]["path"] == path


async def test_a_form_with_too_much_metadata_is_refused(ingesting: Ingesting) -> None:
    before = ingesting.kept()
    answer = await ingesting.post_form(metadata=json.dumps({"text": "x" * 100_000}))

    assert (answer.status, answer.problem) == (413, "content-too-large")
    assert ingesting.kept() == before


@pytest.mark.parametrize("size", [100, 3 * MIB])
async def test_a_wrong_digest_is_refused_and_nothing_is_kept(ingesting: Ingesting, size: int) -> None:
    before = ingesting.kept()
    wrong = hashlib.sha256(b"other").hexdigest()

    raw = await ingesting.post(whole(size), headers={"Repr-Digest": repr_digest(wrong)})
    form = await ingesting.post_form(whole(size), checksum=wrong)

    assert (raw.status, raw.problem) == (form.status, form.problem) == (422, "checksum-mismatch")
    assert ingesting.kept() == before


async def test_who_may_not_upload_is_told_what_is_missing(ingesting: Ingesting) -> None:
    token = await ingesting.roles.token("query")

    answer = await ingesting.post(token=token)

    assert (answer.status, answer.problem) == (403, "forbidden")
    assert "files:write" in answer.headers["WWW-Authenticate"]


async def test_who_has_no_token_is_refused(ingesting: Ingesting) -> None:
    answer = await ingesting.post(headers={"Authorization": "Bearer nonsense"})

    assert (answer.status, answer.problem) == (401, "unauthenticated")


@pytest.mark.parametrize("path", ["/api/v1/files/upload", "/api/v1/files"])
@pytest.mark.parametrize(
    ("header", "value", "status"), [("Content-Encoding", "gzip", 415), ("Content-Range", "bytes 0-1/9", 400)]
)
async def test_a_body_that_is_not_the_file_is_refused(
    ingesting: Ingesting, path: str, header: str, value: str, status: int
) -> None:
    url = f"{ingesting.ingester.url}{path}"
    headers = {"Content-Disposition": "attachment; filename=a", header: value}

    answer = await ingesting.roles.request("POST", url, data=b"x", headers=headers)

    assert answer.status == status


async def test_what_was_uploaded_is_counted(ingesting: Ingesting) -> None:
    samples: list[tuple[str, dict[str, str], int]] = [
        ("uploads_total", {"outcome": "stored"}, 1),
        ("uploads_total", {"outcome": "known"}, 1),
        ("uploads_total", {"outcome": "refused"}, 1),
        ("upload_bytes_total", {}, 1000),
        ("selection_duration_seconds_count", {"outcome": "found"}, 3),
        ("registrations_total", {"outcome": "registered"}, 2),
    ]
    before = [await ingesting.metric(name, **labels) for name, labels, _ in samples]
    file_id = new_file_id()

    await ingesting.put(file_id, bytes(1000))
    await ingesting.put(file_id, bytes(1000))
    await ingesting.put(file_id, b"other")

    after = [await ingesting.metric(name, **labels) for name, labels, _ in samples]
    assert [new - old for new, old in zip(after, before, strict=True)] == [more for *_, more in samples]

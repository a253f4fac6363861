"""Downloads through the query role: as good as from the element itself."""

from email import message_from_bytes

import pytest

from artstore.core.http.bodies import repr_digest
from tests.services.query.harness import Querying

pytestmark = pytest.mark.asyncio(loop_scope="module")
MIB = 1024 * 1024


@pytest.fixture
def querying(shared_querying: Querying) -> Querying:
    """One cluster for all tests of this module: none of them changes it but by storing files."""
    return shared_querying


def numbered(size: int) -> bytes:
    """Bytes of which no two slices are alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))


@pytest.mark.parametrize("size", [0, 10_000, 64 * 1024, 100_000, MIB, 5 * MIB])
async def test_a_file_comes_back_byte_for_byte(querying: Querying, size: int) -> None:
    content = numbered(size)
    file = await querying.stored(content)

    answer = await querying.download(file["file_id"])

    assert answer.status == 200
    assert answer.body == content
    assert answer.headers["Content-Length"] == str(len(content))


async def test_the_answer_describes_the_file(querying: Querying) -> None:
    file = await querying.stored(b"text", name="Отчёт «1».txt", content_type="text/markdown")

    headers = (await querying.download(file["file_id"])).headers

    assert headers["ETag"] == f'"{file["checksum"]}"'
    assert headers["Repr-Digest"] == repr_digest(file["checksum"])
    assert headers["Content-Type"] == "text/markdown"
    assert "filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82" in headers["Content-Disposition"]
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Last-Modified" in headers
    assert "Cache-Control" in headers


@pytest.mark.parametrize("size", [100, MIB])
async def test_head_tells_the_same_without_the_bytes(querying: Querying, size: int) -> None:
    file = await querying.stored(numbered(size))

    head = await querying.download(file["file_id"], method="HEAD")
    whole = await querying.download(file["file_id"])

    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Content-Type", "Content-Disposition", "Repr-Digest"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1000-1999", 1000, 1999),
        ("bytes=999000-", 999_000, 999_999),
        ("bytes=-500", 999_500, 999_999),
        ("bytes=100-899999", 100, 899_999),
        ("bytes=999999-2000000", 999_999, 999_999),
    ],
)
async def test_one_range_comes_as_it_is(querying: Querying, asked: str, first: int, last: int) -> None:
    content = numbered(1_000_000)
    file = await querying.stored(content)

    answer = await querying.download(file["file_id"], headers={"Range": asked})

    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000000"
    assert answer.body == content[first : last + 1]


async def test_several_ranges_come_as_parts(querying: Querying) -> None:
    content = numbered(1_000_000)
    file = await querying.stored(content)

    answer = await querying.download(file["file_id"], headers={"Range": "bytes=0-9,500000-500099"})

    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + answer.body)
    assert answer.status == 206
    assert [part["Content-Range"] for part in message.walk()][1:] == [
        "bytes 0-9/1000000",
        "bytes 500000-500099/1000000",
    ]
    assert content[:10] in answer.body
    assert content[500_000:500_100] in answer.body


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=200-300", "bytes=-0"])
async def test_a_range_outside_the_file_is_told_its_length(querying: Querying, asked: str) -> None:
    file = await querying.stored(bytes(100))

    answer = await querying.download(file["file_id"], headers={"Range": asked})

    assert (answer.status, answer.problem) == (416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize("asked", ["bytes=5-4", "items=0-1", "bytes=a-b", "bytes=--5"])
async def test_what_is_no_range_is_ignored(querying: Querying, asked: str) -> None:
    file = await querying.stored(bytes(100))

    answer = await querying.download(file["file_id"], headers={"Range": asked})

    assert (answer.status, len(answer.body)) == (200, 100)


async def test_a_range_of_another_version_is_answered_with_the_whole(querying: Querying) -> None:
    file = await querying.stored(bytes(100))
    etag = f'"{file["checksum"]}"'

    same = await querying.download(file["file_id"], headers={"Range": "bytes=0-9", "If-Range": etag})
    other = await querying.download(file["file_id"], headers={"Range": "bytes=0-9", "If-Range": '"x"'})

    assert (same.status, other.status) == (206, 200)


async def test_what_the_client_has_is_not_sent_again(querying: Querying) -> None:
    file = await querying.stored()
    modified = (await querying.download(file["file_id"])).headers["Last-Modified"]

    by_etag = await querying.download(
        file["file_id"], headers={"If-None-Match": f'"other", "{file["checksum"]}"'}
    )
    by_time = await querying.download(file["file_id"], headers={"If-Modified-Since": modified})

    assert (by_etag.status, by_time.status) == (304, 304)
    assert by_etag.headers["ETag"] == f'"{file["checksum"]}"'
    assert by_etag.body == b""


@pytest.mark.parametrize(
    "condition", [{"If-Match": '"x"'}, {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}]
)
async def test_a_condition_that_does_not_hold_is_told(querying: Querying, condition: dict[str, str]) -> None:
    file = await querying.stored()

    answer = await querying.download(file["file_id"], headers=condition)

    assert (answer.status, answer.problem) == (412, "precondition-failed")


async def test_downloads_are_counted(querying: Querying) -> None:
    file = await querying.stored(bytes(1000))
    samples: list[tuple[str, dict[str, str], int]] = [
        ("downloads_total", {"outcome": "sent"}, 2),
        ("downloads_total", {"outcome": "not_modified"}, 1),
        ("downloads_total", {"outcome": "refused"}, 1),
        ("download_bytes_total", {}, 1010),
        ("download_ranges_total", {}, 1),
        ("location_lookups_total", {"source": "index"}, 1),
        ("location_lookups_total", {"source": "memory"}, 3),
    ]
    before = [await querying.metric(name, **labels) for name, labels, _ in samples]

    for headers in (
        {},
        {"Range": "bytes=0-9"},
        {"If-None-Match": f'"{file["checksum"]}"'},
        {"Range": "bytes=2000-"},
    ):
        await querying.download(file["file_id"], headers=headers)

    after = [await querying.metric(name, **labels) for name, labels, _ in samples]
    assert [new - old for new, old in zip(after, before, strict=True)] == [more for *_, more in samples]

"""Downloads over HTTP: the bytes that were stored, or an error; never anything else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from tests.services.storage_element.harness import Answer, ElementClient, StartElement, sha256

CONTENT = bytes(range(256)) * 1200
"""Large enough that the kernel sends it."""


async def download(element: ElementClient, stored: dict[str, Any], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await element.request("GET", f"/api/v1/files/{stored['file_id']}/download", headers=named)


async def test_every_size_is_given_back(element: ElementClient) -> None:
    for size in (0, 1, 60_000, 100_000, len(CONTENT), 5_000_000):
        content = (CONTENT * 17)[:size]
        stored = await element.stored(content)

        answer = await download(element, stored)

        assert sha256(answer.body) == sha256(content)
        assert answer.headers["Content-Length"] == str(size)


async def test_the_headers_describe_the_file(element: ElementClient) -> None:
    stored = await element.stored(b"data", name="Отчёт.pdf", content_type="application/pdf")

    answer = await download(element, stored)

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["ETag"] == f'"{stored["checksum"]}"'
    assert answer.headers["Repr-Digest"].startswith("sha-256=:")
    assert "filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82.pdf" in answer.headers["Content-Disposition"]


async def test_the_head_is_that_of_the_download(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)
    path = f"/api/v1/files/{stored['file_id']}/download"

    head = await element.request("HEAD", path)
    whole = await element.request("GET", path)

    ignored = {"Date", "X-Request-ID"}
    assert head.body == b""
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in whole.headers.items() if k not in ignored
    }


async def test_a_range_is_given(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)
    ranges = {
        "bytes=0-9": CONTENT[:10],
        "bytes=-10": CONTENT[-10:],
        "bytes=100-": CONTENT[100:],
        "bytes=5-200000": CONTENT[5:200_001],
        f"bytes={len(CONTENT) - 1}-999999999": CONTENT[-1:],
    }

    answers = [await download(element, stored, Range=asked) for asked in ranges]

    assert [answer.status for answer in answers] == [206] * len(ranges)
    assert [sha256(answer.body) for answer in answers] == [sha256(part) for part in ranges.values()]


async def test_several_ranges_are_given_at_once(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)

    answer = await download(element, stored, Range="bytes=0-1,256-258")

    assert answer.status == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert answer.body.count(b"Content-Range: bytes ") == 2
    assert b"\r\n\r\n\x00\x01\x02\r\n" in answer.body


async def test_an_impossible_range_is_refused(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)

    beyond = await download(element, stored, Range=f"bytes={len(CONTENT)}-")
    empty = await download(element, stored, Range="bytes=-0")

    assert (beyond.status, empty.status) == (416, 416)
    assert beyond.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_of_another_version_is_answered_with_the_whole(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)

    same = await download(element, stored, Range="bytes=0-0", If_Range=f'"{stored["checksum"]}"')
    other = await download(element, stored, Range="bytes=0-0", If_Range='"another"')

    assert (same.status, other.status) == (206, 200)
    assert other.body == CONTENT


async def test_what_the_client_has_is_not_sent_again(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)

    answer = await download(element, stored, If_None_Match=f'"{stored["checksum"]}"')

    assert (answer.status, answer.body) == (304, b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("damage", [Path.unlink, cut, lengthen])
async def test_data_of_another_size_are_never_given_out(
    element: ElementClient, damage: Callable[[Path], None]
) -> None:
    for content in (b"data", CONTENT):
        stored = await element.stored(content)
        await element.placed_files()
        damage(element.root / stored["storage_path"] / stored["storage_filename"])

        whole = await download(element, stored)
        part = await download(element, stored, Range="bytes=1-2")
        end = await download(element, stored, Range="bytes=-1")

        assert [answer.status for answer in (whole, part, end)] == [500] * 3
        assert {answer.problem for answer in (whole, part, end)} == {"corrupted"}
        assert str(element.root) not in whole.body.decode()


async def test_damage_found_between_ranges_breaks_the_connection(element: ElementClient) -> None:
    stored = await element.stored(CONTENT)
    cut((await element.placed_files())[0])

    with pytest.raises(ClientPayloadError):
        await download(element, stored, Range="bytes=0-0,3-3")


async def test_an_archive_gives_out_metadata_but_no_data(start: StartElement) -> None:
    async with start(element={"mode": "ar"}) as element:
        answer = await element.request("GET", "/api/v1/files/0197b2c4-0000-7000-8000-00000000ffff/download")

        assert (answer.status, answer.problem) == (404, "not-found")
        assert (await element.get("/api/v1/files"))["total"] == 0

"""Downloads over real sockets from real files: ranges, conditions, headers, damage."""

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import ClientPayloadError, content_disposition_filename, parse_content_disposition, web
from aiohttp.test_utils import TestClient, TestServer

from artstore.core.app import Role, build_app
from artstore.core.config import Settings
from artstore.core.http.bodies import repr_digest
from artstore.core.http.downloads import content_disposition, serve_download
from artstore.core.http.operations import Operation
from artstore.core.http.representation import Representation
from artstore.core.http.verification import RecentlyVerified
from artstore.core.testing import body, plugin_context
from artstore.plugins.storage_local.plugin import LocalConfig, open_local

Client = TestClient[web.Request, web.Application]
Way = Literal["kernel", "chunks"]

MODIFIED = datetime(2026, 11, 22, 15, 3, 14, 999999, tzinfo=UTC)
MODIFIED_TEXT = "Sun, 22 Nov 2026 15:03:14 GMT"
NAME = 'Отчёт "2026".txt'
CONTENT = bytes(range(256)) * 2048  # 512 KiB: more than one response or one chunk holds
CONTENTS = {"huge": CONTENT * 20, "big": CONTENT, "small": CONTENT[:1000], "empty": b""}
ETAGS = {name: f'"{hashlib.sha256(content).hexdigest()}"' for name, content in CONTENTS.items()}


@pytest.fixture(params=["kernel", "chunks"])
def way(request: pytest.FixtureRequest) -> Way:
    """Both ways in which bytes leave: sent by the kernel, or read and written."""
    found: Way = request.param
    return found


@pytest.fixture
async def client(tmp_path: Path, way: Way) -> AsyncIterator[Client]:
    async with open_local(LocalConfig(root=tmp_path), plugin_context("storage_local")) as storage:
        for name, content in CONTENTS.items():
            await storage.put(name, body(content))

        paths = storage.capabilities.local_paths
        assert paths is not None
        verified = RecentlyVerified(lifetime=60)

        async def download(request: web.Request) -> web.StreamResponse:
            """Download."""
            name = request.match_info["name"]
            return await serve_download(
                request,
                Representation(
                    size=len(CONTENTS[name]),
                    sha256=ETAGS[name].strip('"'),
                    content_type="text/plain",
                    filename=NAME,
                    modified_at=MODIFIED,
                    open=lambda byte_range: storage.get(name, byte_range=byte_range),
                    verified=verified,
                    open_file=partial(paths.open, name) if way == "kernel" else None,
                    open_cached=partial(paths.open_cached, name) if way == "kernel" else None,
                ),
            )

        operations = [Operation(method, "/{name}", download, public=True) for method in ("GET", "HEAD")]
        app = build_app(Role("element", "Files", operations), [], settings=Settings())
        async with TestClient(TestServer(app)) as client:
            yield client


@pytest.mark.parametrize("name", CONTENTS)
async def test_the_whole_file_comes_with_all_that_describes_it(client: Client, name: str) -> None:
    answer = await client.get(f"/{name}")

    assert answer.status == 200
    assert await answer.read() == CONTENTS[name]
    assert answer.headers["ETag"] == ETAGS[name]
    assert answer.headers["Repr-Digest"] == repr_digest(ETAGS[name].strip('"'))
    assert answer.headers["Last-Modified"] == MODIFIED_TEXT
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_length == len(CONTENTS[name])
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_head_tells_the_same_without_the_bytes(client: Client) -> None:
    answer = await client.head("/big")

    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))
    assert answer.headers["ETag"] == ETAGS["big"]
    assert await answer.read() == b""


@pytest.mark.parametrize("name", ["big", "small"])
@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=5-99999999", 5, None)],
)
async def test_a_range_is_exactly_what_was_asked_for(
    client: Client, name: str, header: str, start: int, end: int | None
) -> None:
    content = CONTENTS[name]

    answer = await client.get(f"/{name}", headers={"Range": header})

    assert answer.status == 206
    assert await answer.read() == content[start:end]
    first = start if start >= 0 else len(content) + start
    assert answer.headers["Content-Range"] == f"bytes {first}-{(end or len(content)) - 1}/{len(content)}"


async def test_several_ranges_come_as_parts(client: Client) -> None:
    answer = await client.get("/big", headers={"Range": "bytes=0-9,300000-300019"})

    assert answer.status == 206
    raw = await answer.read()
    assert answer.content_length == len(raw)
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].encode()
    parts = [part.partition(b"\r\n\r\n") for part in raw.split(b"--" + boundary)[1:-1]]
    assert [part[2].removesuffix(b"\r\n") for part in parts] == [CONTENT[:10], CONTENT[300000:300020]]
    assert b"Content-Range: bytes 300000-300019/524288" in parts[1][0]


async def test_a_range_outside_the_file_is_refused_with_its_size(client: Client) -> None:
    answer = await client.get("/small", headers={"Range": "bytes=1000-"})

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000")


@pytest.mark.parametrize("header", ["bytes=x", "lines=1-2", "bytes=9-1"])
async def test_a_range_that_is_none_is_ignored(client: Client, header: str) -> None:
    answer = await client.get("/small", headers={"Range": header})

    assert (answer.status, len(await answer.read())) == (200, 1000)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAGS["big"], 206),
        (MODIFIED_TEXT, 206),
        ('"other"', 200),
        ("W/" + ETAGS["big"], 200),
        ("Sun, 22 Nov 2026 15:03:13 GMT", 200),
        ("garbage", 200),
    ],
)
async def test_if_range_gives_the_range_only_of_the_same_file(
    client: Client, condition: str, status: int
) -> None:
    answer = await client.get("/big", headers={"Range": "bytes=0-1", "If-Range": condition})

    assert answer.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": ETAGS["big"]}, 304),
        ({"If-None-Match": f'"a", W/{ETAGS["big"]}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"a"'}, 200),
        ({"If-Match": ETAGS["big"]}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"a"'}, 412),
        ({"If-Match": "W/" + ETAGS["big"]}, 412),
        ({"If-Modified-Since": MODIFIED_TEXT}, 304),
        ({"If-Modified-Since": "Sun, 22 Nov 2026 15:03:13 GMT"}, 200),
        ({"If-Unmodified-Since": MODIFIED_TEXT}, 200),
        ({"If-Unmodified-Since": "Sun, 22 Nov 2026 15:03:13 GMT"}, 412),
        ({"If-None-Match": '"a"', "If-Modified-Since": MODIFIED_TEXT}, 200),
    ],
)
async def test_conditions_decide(client: Client, headers: dict[str, str], status: int) -> None:
    answer = await client.get("/big", headers=headers)

    assert answer.status == status
    if status == 304:
        assert await answer.read() == b""
        assert answer.headers["ETag"] == ETAGS["big"]


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT + b"x"])
async def test_a_file_of_another_size_is_not_given_out(
    client: Client, tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "big").write_bytes(damaged)

    answer = await client.get("/big")

    assert answer.status == 500
    assert (await answer.json())["type"] == "urn:artstore:problem:corrupted"


@pytest.mark.parametrize("name", ["huge", "big", "small"])
@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-"}], ids=["whole", "range of all"])
async def test_a_wrong_byte_never_arrives_as_a_complete_answer(
    client: Client, tmp_path: Path, name: str, position: int, asked: dict[str, str]
) -> None:
    before = await client.get(f"/{name}", headers=asked)
    assert await before.read() == CONTENTS[name]
    flip(tmp_path / name, position)

    answer = await client.get(f"/{name}", headers=asked)

    if answer.status == 500:
        assert (await answer.json())["type"] == "urn:artstore:problem:corrupted"
    else:
        assert name == "huge", "what fits into memory is known to be wrong before the answer begins"
        with pytest.raises(ClientPayloadError):
            await answer.read()


def flip(path: Path, position: int) -> None:
    """Change one byte as a medium does: the file's size and time stay."""
    status = path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    with path.open("r+b") as file:
        file.write(damaged)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_a_missing_file_is_told_before_anything_is_sent(client: Client, tmp_path: Path) -> None:
    (tmp_path / "big").unlink()

    answer = await client.get("/big")

    assert answer.status == 404


async def test_damage_found_after_the_headers_breaks_the_connection(client: Client, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(CONTENT[:100])

    broken = await client.get("/big", headers={"Range": "bytes=0-1,400000-400001"})
    with pytest.raises(ClientPayloadError):
        await broken.read()


def test_the_name_in_content_disposition_survives_parsing() -> None:
    kind, parameters = parse_content_disposition(content_disposition(NAME))

    assert kind == "attachment"
    assert content_disposition_filename(parameters) == NAME
    assert parameters["filename"].isascii()

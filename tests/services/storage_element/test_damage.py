"""Damaged data over HTTP: whoever asks for a whole file gets it right, or an error, or a broken answer."""

import asyncio
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientPayloadError

from tests.services.storage_element.damage import data_path, flip
from tests.services.storage_element.harness import ALL_SCOPES, MINT, Answer, ElementClient, StartElement

KIB: Final = 1024
SMALL: Final = 1000
MEDIUM: Final = 100 * KIB
SENT_BY_THE_KERNEL: Final = 300 * KIB
LARGE: Final = 9 * KIB * KIB + 1
"""Hashed in three windows, of which the last has one byte."""


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def download(element: ElementClient, stored: dict[str, Any], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await element.request("GET", f"/api/v1/files/{stored['file_id']}/download", headers=named)


async def flipped(element: ElementClient, size: int, position: int = 0) -> dict[str, Any]:
    """A new file of which one byte is wrong."""
    stored = await element.stored(content_of(size))
    flip(await data_path(element, stored), position)
    return stored


@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.parametrize("size", [1, SMALL, MEDIUM, SENT_BY_THE_KERNEL])
async def test_a_wrong_byte_is_told_before_anything_is_sent(
    element: ElementClient, size: int, position: int
) -> None:
    stored = await flipped(element, size, position)

    answer = await download(element, stored)

    assert (answer.status, answer.problem) == (500, "corrupted")
    assert stored["file_id"] in answer.json()["detail"]
    assert str(element.root) not in answer.body.decode()


@pytest.mark.parametrize("position", [0, LARGE // 2, -1])
async def test_a_wrong_byte_of_a_large_file_breaks_the_connection(
    element: ElementClient, position: int
) -> None:
    stored = await flipped(element, LARGE, position)

    with pytest.raises(ClientPayloadError):
        await download(element, stored)


async def test_urllib_and_curl_see_no_complete_answer(element: ElementClient) -> None:
    for size in (SMALL, LARGE):
        url = f"{element.url}/api/v1/files/{(await flipped(element, size))['file_id']}/download"

        assert not await asyncio.to_thread(urllib_succeeds, url)
        assert not await asyncio.to_thread(curl_succeeds, url)


def urllib_succeeds(url: str) -> bool:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {MINT(scope=ALL_SCOPES)}"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            response.read()
    except (urllib.error.HTTPError, OSError, EOFError) as error:
        getattr(error, "close", bool)()
        return False
    except Exception as error:
        return type(error).__name__ not in ("IncompleteRead", "RemoteDisconnected")
    return True


def curl_succeeds(url: str) -> bool:
    authorization = f"Authorization: Bearer {MINT(scope=ALL_SCOPES)}"
    command = ["curl", "--silent", "--fail", "--output", os.devnull, "--header", authorization, url]
    return subprocess.run(command, check=False, timeout=60).returncode == 0


async def test_simultaneous_downloads_all_fail(element: ElementClient) -> None:
    stored = await flipped(element, LARGE)

    outcomes = await asyncio.gather(*(download(element, stored) for _ in range(6)), return_exceptions=True)

    assert not [each for each in outcomes if isinstance(each, Answer) and each.status == 200]


async def test_what_was_verified_a_moment_ago_is_hashed_again_when_it_changes(
    element: ElementClient,
) -> None:
    stored = await element.stored(content_of(SENT_BY_THE_KERNEL))
    assert [(await download(element, stored)).status for _ in range(2)] == [200, 200]
    flip(await data_path(element, stored), 0)

    assert (await download(element, stored)).problem == "corrupted"


async def test_all_of_a_file_is_verified_as_a_range_too(element: ElementClient) -> None:
    for size in (SMALL, SENT_BY_THE_KERNEL):
        stored = await flipped(element, size)

        answer = await download(element, stored, Range="bytes=0-")

        assert (answer.status, answer.problem) == (500, "corrupted")


async def test_the_head_and_conditions_do_not_read_the_file(element: ElementClient) -> None:
    stored = await flipped(element, SMALL)

    head = await element.request("HEAD", f"/api/v1/files/{stored['file_id']}/download")
    known = await download(element, stored, If_None_Match=f'"{stored["checksum"]}"')

    assert (head.status, known.status) == (200, 304)


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_a_link(path: Path) -> None:
    moved = path.with_name("elsewhere")
    path.rename(moved)
    path.symlink_to(moved)


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("size", [SMALL, SENT_BY_THE_KERNEL])
@pytest.mark.parametrize("replace", [replace_by_a_directory, replace_by_a_link, replace_by_a_pipe])
async def test_what_is_no_file_is_not_given_out(
    element: ElementClient, size: int, replace: Callable[[Path], None]
) -> None:
    stored = await element.stored(content_of(size))
    replace(await data_path(element, stored))

    answer = await download(element, stored)

    assert (answer.status, answer.problem) == (500, "corrupted")


async def test_whole_files_come_whole_without_memory_of_earlier_downloads(start: StartElement) -> None:
    async with start(element={"fixity": {"downloads_verified_for": 0}}) as element:
        stored = await element.stored(content_of(LARGE))

        answers = [await download(element, stored) for _ in range(2)]

    assert all(answer.body == content_of(LARGE) for answer in answers)

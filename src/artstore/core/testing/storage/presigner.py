"""What a storage back end with the ability ``presigner`` does besides."""

import asyncio
from typing import Final

import aiohttp
import pytest
from yarl import URL

from artstore.core.spec import NotFoundError, Presigner, StorageBackend
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.subject import LARGE, StorageSubject, read

LIFETIME: Final = 60.0
PATIENCE: Final = 30.0
"""Seconds within which a URL that was made for one second must have ended."""


class PresignerContract(StorageSubject):
    """Inherit it beside ``StorageContract``. Its tests fetch the URLs as any client would."""

    @pytest.fixture
    def presigner(self, storage: StorageBackend) -> Presigner:
        """The ability ``presigner``."""
        presigner = storage.capabilities.presigner
        assert presigner is not None
        return presigner

    @pytest.mark.parametrize("key", ["key", "отчёт за год/приложение №1.pdf", "a+b & c%20?d#e"])
    async def test_its_url_reads_the_object_without_credentials(
        self, storage: StorageBackend, presigner: Presigner, key: str
    ) -> None:
        await storage.put(key, body(LARGE))

        url = await presigner.presign_get(key, expires_in=LIFETIME)

        assert await fetch(url) == (200, LARGE)

    async def test_its_url_gives_ranges(self, storage: StorageBackend, presigner: Presigner) -> None:
        await storage.put("key", body(LARGE))

        url = await presigner.presign_get("key", expires_in=LIFETIME)

        assert await fetch(url, headers={"Range": "bytes=10-19"}) == (206, LARGE[10:20])

    async def test_its_url_reads_and_does_nothing_else(
        self, storage: StorageBackend, presigner: Presigner
    ) -> None:
        await storage.put("key", body(b"old"))
        url = await presigner.presign_get("key", expires_in=LIFETIME)

        for method in ("PUT", "POST", "DELETE"):
            status, _ = await fetch(url, method=method, data=b"new")
            assert status >= 400

        assert await read(storage.get("key")) == b"old"

    async def test_its_url_is_for_one_object(self, storage: StorageBackend, presigner: Presigner) -> None:
        await storage.put("this-key", body(b"this"))
        await storage.put("that-key", body(b"that"))

        url = await presigner.presign_get("this-key", expires_in=LIFETIME)

        status, _ = await fetch(url.replace("this-key", "that-key"))
        assert status >= 400

    async def test_its_url_ends(self, storage: StorageBackend, presigner: Presigner) -> None:
        await storage.put("key", body(b"content"))
        url = await presigner.presign_get("key", expires_in=1)

        async with asyncio.timeout(PATIENCE):
            while (await fetch(url))[0] < 400:  # noqa: ASYNC110 - no foreign server tells when
                await asyncio.sleep(0.1)

        assert (await fetch(await presigner.presign_get("key", expires_in=LIFETIME)))[0] == 200

    async def test_what_is_not_there_has_no_url_or_one_that_finds_nothing(
        self, storage: StorageBackend, presigner: Presigner
    ) -> None:
        try:
            url = await presigner.presign_get("none", expires_in=LIFETIME)
        except NotFoundError:
            return
        assert (await fetch(url))[0] == 404


async def fetch(
    url: str, *, method: str = "GET", data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of an answer to somebody without credentials."""
    # As it was signed: another encoding of the same characters would be another URL.
    exact = URL(url, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, exact, data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.read()

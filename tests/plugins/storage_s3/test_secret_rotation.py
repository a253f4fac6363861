"""Keys of a bucket that change while it is in use: new ones are tried, then used for every request."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from artstore.core.spec import ConfigurationError, StorageBackend
from artstore.core.testing import SecretRotation, SecretRotationContract, body, plugin_context, read
from artstore.core.testing.context import TakeSecrets
from artstore.plugins.storage_s3.config import MIB, S3Config
from artstore.plugins.storage_s3.plugin import open_s3
from tests.representations import objects_of_artstore, secrets_shown
from tests.s3.servers import S3Server


def config(server: S3Server, bucket: str, **options: Any) -> S3Config:
    return S3Config.model_validate(server.options(bucket, part_size=5 * MIB, **options))


async def put_and_get(storage: StorageBackend) -> None:
    await storage.put("a/key", body(b"content"))
    assert await read(storage.get("a/key")) == b"content"


class TestS3Keys(SecretRotationContract):
    @pytest.fixture
    async def rotation(self, swift: S3Server, bucket: str) -> AsyncGenerator[SecretRotation, None]:
        with swift.user() as old, swift.user() as new:

            async def withdraw() -> None:
                await asyncio.to_thread(old.shut_out)

            yield SecretRotation(
                plugin="storage_s3",
                open=open_s3,
                first=config(old, bucket),
                second=config(new, bucket),
                wrong=config(new, bucket, secret_access_key="not-the-secret-of-this-user"),
                withdraw=withdraw,
                use=put_and_get,
            )


async def test_an_upload_in_parts_goes_over_to_the_new_keys(swift: S3Server, bucket: str) -> None:
    with swift.user() as old, swift.user() as new:
        taken: list[TakeSecrets] = []
        context = plugin_context("storage_s3", follow_secrets=taken.append)
        async with open_s3(config(old, bucket, probe=False), context) as storage:

            async def parts() -> AsyncGenerator[bytes, None]:
                yield b"a" * 11 * MIB
                await taken[0](config(new, bucket, probe=False))
                await asyncio.to_thread(old.shut_out)
                yield b"b" * 6 * MIB

            stored = await storage.put("large", parts())

            assert stored.size == 17 * MIB
            assert await read(storage.get("large")) == b"a" * 11 * MIB + b"b" * 6 * MIB


async def test_another_bucket_is_not_taken_in_place_of_an_open_one(swift: S3Server, bucket: str) -> None:
    taken: list[TakeSecrets] = []
    async with open_s3(config(swift, bucket), plugin_context("storage_s3", follow_secrets=taken.append)):
        with pytest.raises(ConfigurationError, match="only access_key_id, secret_access_key, session_token"):
            await taken[0](config(swift, "elsewhere"))


async def test_no_object_shows_the_keys(swift: S3Server, bucket: str) -> None:
    with swift.user() as old, swift.user() as new:
        taken: list[TakeSecrets] = []
        context = plugin_context("storage_s3", follow_secrets=taken.append)
        async with open_s3(config(old, bucket, probe=False), context) as storage:
            await taken[0](config(new, bucket, probe=False))
            await put_and_get(storage)

            objects = objects_of_artstore()

            assert {"S3Config", "S3Storage", "Keys"} <= {type(each).__qualname__ for each in objects}
            secrets = [old.secret_access_key, new.secret_access_key]
            assert secrets_shown(secrets, by=objects) == set()

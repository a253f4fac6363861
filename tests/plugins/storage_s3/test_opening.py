"""How a bucket is opened, what is found out about the service, and what an operator is told."""

from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from artstore.core.spec import ConfigurationError, InvalidRequestError
from artstore.core.testing import body, listed, plugin_context, read
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.plugin import artstore_storage_providers, open_s3
from tests.plugins.storage_s3.conftest import OpenStorage
from tests.s3.misbehaving import MisbehavingService
from tests.s3.servers import S3Server

VALID = {"bucket": "archive"}


def test_the_hook_introduces_the_s3_type() -> None:
    (provider,) = artstore_storage_providers()

    assert (provider.name, provider.spec, provider.config) == ("s3", 1, S3Config)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bucket": "ab"},
        {**VALID, "endpoint_url": "127.0.0.1:9000"},
        {**VALID, "part_size": 1024},
        {**VALID, "access_key_id": "key without a secret"},
        {**VALID, "secret_access_key": "secret without a key"},
        {**VALID, "prefix": "a//b"},
        {**VALID, "attempts": 0},
        {**VALID, "bukket": "archive"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        S3Config.model_validate(options)


@pytest.mark.parametrize("prefix", ["archive/se-01", "/archive/se-01/"])
def test_a_prefix_is_a_directory(prefix: str) -> None:
    assert S3Config.model_validate({**VALID, "prefix": prefix}).prefix == "archive/se-01/"


def test_secrets_are_not_shown() -> None:
    config = S3Config.model_validate({**VALID, "access_key_id": "a", "secret_access_key": "very-secret"})

    assert "very-secret" not in repr(config)


async def test_objects_outlive_the_process(open_storage: OpenStorage) -> None:
    async with open_storage() as storage:
        info = await storage.put("a/key", body(b"content"))

    async with open_storage() as storage:
        assert await read(storage.get("a/key")) == b"content"
        assert (await storage.head("a/key")).etag == info.etag


async def test_roots_with_different_prefixes_share_a_bucket(open_storage: OpenStorage) -> None:
    async with open_storage(prefix="se-01") as one, open_storage(prefix="se-02") as two:
        await one.put("key", body(b"one"))
        await two.put("key", body(b"two"))

        assert await read(one.get("key")) == b"one"
        assert await listed(two) == ["key"]
        with pytest.raises(InvalidRequestError, match="at most 1018 bytes"):
            await one.head("/".join(["x" * 255] * 4))


async def test_the_working_area_and_what_is_no_key_are_not_listed(
    open_storage: OpenStorage, swift: S3Server, bucket: str
) -> None:
    for name in (".artstore/lock", "a/", "a//b", "a/key"):
        swift.client.put_object(Bucket=bucket, Key=name, Body=b"")

    async with open_storage() as storage:
        assert await listed(storage) == ["a/key"]
        for key in (".artstore/lock", ".artstore"):
            with pytest.raises(InvalidRequestError, match="holds no objects"):
                await storage.put(key, body(b"content"))


async def test_what_the_service_honours_is_said_in_a_line_each(open_storage: OpenStorage) -> None:
    with capture_logs() as logs:
        async with open_storage() as storage:
            assert await listed(storage) == []

    told = {line["event"]: line for line in logs}
    assert told["s3_checks_uploads"]["by"] == "sha256"
    assert told["s3_conditional_writes"]["honoured"]
    assert told["s3_takes_multipart_uploads"]["smallest_part"] == "5 MiB"


@pytest.mark.parametrize(
    ("ignored", "check"),
    [(["x-amz-checksum-sha256"], "md5"), (["x-amz-checksum-sha256", "content-md5"], "reading back")],
)
async def test_a_service_that_ignores_digests_is_checked_in_another_way(
    open_storage: OpenStorage, service: MisbehavingService, ignored: list[str], check: str
) -> None:
    service.ignored_headers = ignored
    content = [bytes([number]) * 1024 * 1024 for number in range(7)]

    with capture_logs() as logs:
        async with open_storage(endpoint_url=service.url) as storage:
            await storage.put("small", body(b"content"))
            await storage.put("large", body(*content))
            assert await read(storage.get("large")) == b"".join(content)

    told = {"md5": ("s3_checks_uploads", "md5"), "reading back": ("s3_ignores_checksums", None)}
    assert told[check] in [(line["event"], line.get("by")) for line in logs]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"bucket": "nobody-made-this"}, "there is no such bucket: create it, or change option bucket"),
        ({"secret_access_key": "wrong"}, "change access_key_id and secret_access_key"),
        ({"access_key_id": "test:nobody"}, "change access_key_id"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "start it, or change endpoint_url"),
    ],
)
async def test_a_service_that_cannot_be_used_is_told_with_what_to_change(
    open_storage: OpenStorage, options: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        async with open_storage(**{"attempts": 1, **options}):
            pass

    assert advice in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "testing" not in str(refusal.value)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("forbidden", "the credentials lack s3:ListBucket"),
        ("ignored ranges", "ignores byte ranges"),
        ("throttled", "the service fails (SlowDown): repair it"),
        ("garbage", "change endpoint_url"),
        ("moved", "change option region"),
    ],
)
async def test_a_service_that_behaves_otherwise_is_told(
    open_storage: OpenStorage, service: MisbehavingService, fault: str, advice: str
) -> None:
    service.fail(fault)

    with pytest.raises(ConfigurationError) as refusal:
        async with open_storage(endpoint_url=service.url, attempts=1):
            pass

    assert advice in str(refusal.value)


async def test_without_credentials_it_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    config = S3Config.model_validate({"bucket": bucket, "endpoint_url": "http://127.0.0.1:1"})

    with pytest.raises(ConfigurationError, match="set access_key_id and secret_access_key"):
        async with open_s3(config, plugin_context("storage_s3")):
            pass


async def test_credentials_of_the_environment_are_found(
    swift: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", swift.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", swift.secret_access_key)
    config = S3Config.model_validate({"bucket": bucket, "endpoint_url": swift.url})

    async with open_s3(config, plugin_context("storage_s3")) as storage:
        await storage.put("key", body(b"content"))


async def test_nothing_of_the_probe_is_left(open_storage: OpenStorage, swift: S3Server, bucket: str) -> None:
    async with open_storage():
        pass

    assert "Contents" not in swift.client.list_objects_v2(Bucket=bucket)
    assert swift.uploads(bucket) == []

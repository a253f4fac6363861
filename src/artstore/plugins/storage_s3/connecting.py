"""Clients of the service, as the configuration wants them."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoCredentialsError
from botocore.loaders import Loader, create_loader
from pydantic import SecretStr

from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.errors import CircularRedirectError
from artstore.plugins.storage_s3.refusals import Refusals

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


def new_session(config: S3Config) -> aioboto3.Session:
    """A session that has read all that the SDK reads from disk. Blocks."""
    core = AioSession()
    core.register_component("data_loader", _loader())
    core.register("needs-retry.s3.HeadBucket", _end_circle)
    session = aioboto3.Session(
        botocore_session=core,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=_revealed(config.secret_access_key),
        aws_session_token=_revealed(config.session_token),
        region_name=config.region,
    )

    async def make_client() -> None:
        async with open_client(session, config):
            if await core.get_credentials() is None:
                raise NoCredentialsError

    try:
        asyncio.run(make_client())
    except (ValueError, OSError, BotoCoreError) as error:
        raise Refusals(config).explained(error, "a client") from error
    return session


@cache
def _loader() -> Loader:
    """The SDK's descriptions of services, read once in a process."""
    return create_loader()


def open_client(session: aioboto3.Session, config: S3Config) -> AbstractAsyncContextManager["S3Client"]:
    path_style = config.endpoint_url is not None if config.path_style is None else config.path_style
    return session.client(
        "s3",
        endpoint_url=config.endpoint_url,
        verify=None if config.ca_bundle is None else str(config.ca_bundle),
        config=Config(
            signature_version="s3v4",
            # Jittered, exponential; on throttling, time-outs, server errors and broken connections.
            retries={"mode": "standard", "total_max_attempts": config.attempts},
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
            max_pool_connections=config.max_connections,
            # We send digests of our own, which are signed: no second pass over the bytes in the event loop.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if path_style else "virtual", "payload_signing_enabled": False},
            # Our calls are checked by types; and a body need not be a file.
            parameter_validation=False,
        ),
    )


def _end_circle(response: tuple[Any, Mapping[str, Any]] | None, **_: object) -> None:
    """Follow no redirect that does not say where to.

    The SDK then asks HEAD for the region of the bucket. Where that is redirected, too, as by a proxy, it
    would ask again and again, up to the interpreter's limit of recursion, at which connections are left open.

    Raises:
        CircularRedirectError: HEAD was redirected.
    """
    if response is None:
        return
    metadata = response[1]["ResponseMetadata"]
    if 300 <= metadata["HTTPStatusCode"] < 400 and "x-amz-bucket-region" not in metadata["HTTPHeaders"]:
        raise CircularRedirectError


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

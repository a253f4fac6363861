# aioboto3 ships no types; this is the part of it that we call.
from contextlib import AbstractAsyncContextManager
from typing import Literal

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.config import Config
from types_aiobotocore_s3 import S3Client

class Session:
    def __init__(
        self,
        *,
        botocore_session: AioSession | None = ...,
        aws_access_key_id: str | None = ...,
        aws_secret_access_key: str | None = ...,
        aws_session_token: str | None = ...,
        region_name: str | None = ...,
    ) -> None: ...
    def client(
        self,
        service_name: Literal["s3"],
        *,
        endpoint_url: str | None = ...,
        verify: str | bool | None = ...,
        config: Config | None = ...,
    ) -> AbstractAsyncContextManager[S3Client]: ...
    async def get_credentials(self) -> AioCredentials: ...

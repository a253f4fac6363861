"""The options of the ``s3`` storage type."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from artstore.core.spec import InvalidRequestError, PluginConfig, validate_key

MIB: Final = 1024 * 1024
DAY: Final = 24 * 60 * 60


def _as_directory(prefix: str) -> str:
    """``prefix`` with a slash at its end, unless it is empty."""
    directory = prefix.strip("/")
    if not directory:
        return ""
    try:
        validate_key(directory)
    except InvalidRequestError as error:
        raise ValueError(error.detail) from None
    return f"{directory}/"


class S3Config(PluginConfig):
    """The ``storage`` section when ``type = "s3"``."""

    bucket: Annotated[str, Field(min_length=3, max_length=255, description="Bucket that holds the objects.")]
    prefix: Annotated[
        str,
        Field(description="Beginning of all names in the bucket: several roots can share one."),
        AfterValidator(_as_directory),
    ] = ""
    endpoint_url: Annotated[
        str | None,
        Field(pattern=r"^https?://[^/]", description="URL of the service. Default: that of AWS in `region`."),
    ] = None
    region: Annotated[str, Field(min_length=1, description="Region of the bucket.")] = "us-east-1"
    path_style: Annotated[
        bool | None,
        Field(description="Name the bucket in the path, not the host. Default: where `endpoint_url` is set."),
    ] = None
    ca_bundle: Annotated[
        Path | None, Field(description="Certificates (PEM) to trust instead of the usual ones.")
    ] = None
    access_key_id: Annotated[
        str | None,
        Field(description="Default: what the AWS SDK finds (environment, profile, role of the instance)."),
    ] = None
    secret_access_key: Annotated[
        SecretStr | None, Field(description='Usually a reference: `{secret = "name"}`.')
    ] = None
    session_token: Annotated[SecretStr | None, Field(description="Of temporary credentials.")] = None
    part_size: Annotated[
        int,
        Field(
            ge=5 * MIB,
            le=512 * MIB,
            description="Bytes of a part. Smaller objects are sent in one request; an object has at most "
            "10 000 parts.",
        ),
    ] = 8 * MIB
    parallel_parts: Annotated[
        int, Field(ge=1, le=256, description="Parts sent at the same time, of all uploads together.")
    ] = 4
    max_connections: Annotated[int, Field(ge=1, le=4096, description="Connections to the service.")] = 64
    connect_timeout: Annotated[float, Field(gt=0, description="Seconds to connect.")] = 5
    read_timeout: Annotated[float, Field(gt=0, description="Seconds to wait for the next bytes.")] = 30
    attempts: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="How often a request is sent that is throttled, times out or fails.",
        ),
    ] = 4
    probe: Annotated[
        bool,
        Field(
            description="Probe at start which guarantees the service honours. If off, it is assumed to "
            "behave like AWS: to verify digests, and support ranges and parts."
        ),
    ] = True
    page_size: Annotated[int, Field(ge=1, le=1000, description="Objects per page of a listing.")] = 1000
    leftover_age: Annotated[
        float,
        Field(
            ge=0,
            description="Age in seconds at which a multipart upload counts as abandoned and is removed; "
            "must exceed the longest upload.",
        ),
    ] = 7 * DAY

    @model_validator(mode="after")
    def _require_whole_credentials(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: set both, or neither")
        return self

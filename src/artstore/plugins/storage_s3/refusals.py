"""Why a service cannot be used, in one line that names what to change."""

from collections.abc import Mapping
from typing import Final

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)

from artstore.core.spec import ConfigurationError
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.errors import CircularRedirectError, error_code, status

UNKNOWN_KEY: Final = "it does not know the access key: change access_key_id"
ADVICE: Final[Mapping[str, str]] = {
    "NoSuchBucket": "there is no such bucket: create it, or change option bucket",
    "404": "there is no such bucket: create it, or change option bucket",
    "InvalidBucketName": "this cannot be the name of a bucket: change option bucket",
    "InvalidAccessKeyId": UNKNOWN_KEY,
    "InvalidClientTokenId": UNKNOWN_KEY,
    "SignatureDoesNotMatch": "the signature is wrong: change access_key_id and secret_access_key, or region",
    "InvalidToken": "the session token is wrong: change session_token",
    "ExpiredToken": "the credentials have expired: change session_token and the keys",
    "RequestTimeTooSkewed": "its clock and that of this host differ: set the clock of this host",
    "PermanentRedirect": "the bucket is in another region: change option region",
    "AuthorizationHeaderMalformed": "the bucket is in another region: change option region",
    "301": "the bucket is in another region: change option region",
}


class Refusals:
    """Explains errors of the SDK to whoever wrote the configuration."""

    def __init__(self, config: S3Config) -> None:
        endpoint = config.endpoint_url or f"AWS in {config.region}"
        self.service = f"bucket {config.bucket} of {endpoint} ([storage] type s3)"

    def explained(self, error: BaseException, permission: str) -> ConfigurationError:
        """Why a request failed that needs ``permission``."""
        return ConfigurationError(f"{self.service}: {_reason(error, permission)}")


def _reason(error: BaseException, permission: str) -> str:
    if isinstance(error, ClientError):
        code = error_code(error)
        if (advice := ADVICE.get(code)) is not None:
            return advice
        if status(error) in (401, 403):
            return f"the credentials lack {permission}: allow it, or change access_key_id"
        if status(error) >= 500:
            return f"the service fails ({code}): repair it, or change endpoint_url"
        return f"the service refuses what needs {permission} ({code})"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no credentials are found: set access_key_id and secret_access_key"
    if isinstance(error, SSLError):
        return "its certificate is not trusted: set ca_bundle, or change endpoint_url"
    if isinstance(error, CircularRedirectError):
        return "it redirects in a circle: change option region or endpoint_url"
    if isinstance(error, ValueError | ProfileNotFound):
        return str(error)
    return f"it cannot be reached ({type(error).__name__}): start it, or change endpoint_url"

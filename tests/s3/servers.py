"""S3 services for tests: real ones, each in a process of its own that does not outlive the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from botocore.session import Session

from tests.environments import python_with

SWIFT: Final = "2.38.3"
MEMORY: Final = Path("/dev/shm")
START_TIMEOUT: Final = 60.0
WORTH_REMOVING: Final = 50
_numbers: Final = count(1)


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running service and who may use it."""

    url: str
    access_key_id: str
    secret_access_key: str
    log: Path
    client: Any
    """botocore's, to look behind the back end's back; it blocks."""
    order: Callable[[str], None] = field(repr=False)
    """Of Swift: lets a user in, or no more."""
    spare_buckets: list[str] = field(default_factory=list[str])

    @contextmanager
    def user(self) -> Generator["S3Server", None, None]:
        """The same service, and the same buckets, for one more user, who is let in until this is left."""
        number = next(_numbers)
        other = replace(
            self, access_key_id=f"test:user-{number}", secret_access_key=f"secret-of-user-{number}"
        )
        self.order(f"{other.access_key_id} {other.secret_access_key}")
        try:
            yield other
        finally:
            other.shut_out()

    def shut_out(self) -> None:
        """Let this user in no more."""
        self.order(self.access_key_id)

    @contextmanager
    def bucket(self) -> Generator[str, None, None]:
        """The name of an empty bucket. It is used again, unless there is much in it to remove."""
        if self.spare_buckets:
            bucket = self.spare_buckets.pop()
        else:
            bucket = f"bucket-{next(_numbers)}"
            self.client.create_bucket(Bucket=bucket)
        yield bucket
        if self._is_emptied(bucket):
            self.spare_buckets.append(bucket)

    def _is_emptied(self, bucket: str) -> bool:
        listing = self.client.list_objects_v2(Bucket=bucket, MaxKeys=WORTH_REMOVING)
        for found in listing.get("Contents", ()):
            self.client.delete_object(Bucket=bucket, Key=found["Key"])
        for upload in self.uploads(bucket):
            self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return not listing["IsTruncated"]

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Of the first thousand objects."""
        listing = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for found in listing.get("Contents", ())]

    def uploads(self, bucket: str) -> list[dict[str, Any]]:
        """Multipart uploads that are neither completed nor aborted."""
        return list(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))

    def put_strangers(self, bucket: str) -> set[str]:
        """Put what has a name that is no key; the names."""
        names = {"folder/", "folder//twice", ".artstore/file"}
        for name in names:
            self.client.put_object(Bucket=bucket, Key=name)
        return names

    def options(self, bucket: str, /, **options: Any) -> dict[str, Any]:
        """Options of ``storage_s3`` that keep objects in ``bucket``."""
        return {
            "bucket": bucket,
            "endpoint_url": self.url,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            **options,
        }

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def running_swift() -> Generator[S3Server, None, None]:
    """OpenStack Swift, empty."""
    # Its eventlet must not be in our environment.
    python = python_with("swift", SWIFT)
    directory = Path(tempfile.mkdtemp(prefix="swift-", dir=_roomy_memory()))
    log = Path(tempfile.gettempdir()) / f"{directory.name}.log"
    server = Path(__file__).with_name("swift_server.py")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [python, server, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        assert url, f"Swift did not start:\n{log.read_text()[-4000:]}"
        yield server_at(url, "test:tester", "testing", log, order=partial(_order, process))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(START_TIMEOUT)
        log.unlink()


def _order(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
    assert process.stdout.readline() == b"done\n"


def _no_orders(line: str) -> None:
    raise NotImplementedError("the users of this service are those it was started with")


def server_at(
    url: str,
    access_key_id: str,
    secret_access_key: str,
    log: Path,
    *,
    order: Callable[[str], None] = _no_orders,
) -> S3Server:
    """A service that runs."""
    client: Any = Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
    )
    return S3Server(url, access_key_id, secret_access_key, log, client, order)


def _roomy_memory() -> Path | None:
    """A file system in memory that keeps extended attributes, if there is one with a gigabyte of room."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < 4 * 1024**3:
        return None
    with tempfile.NamedTemporaryFile(dir=MEMORY) as probe:
        try:
            os.setxattr(probe.name, "user.swift", b"")
        except OSError:
            return None
    return MEMORY

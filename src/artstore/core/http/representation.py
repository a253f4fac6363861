"""What is served, and what is known of it beforehand."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from artstore.core.http.verification import RecentlyVerified
from artstore.core.spec import ByteRange, CorruptedError, StorageReader

OpenReader = Callable[[ByteRange | None], AbstractAsyncContextManager[StorageReader]]


@dataclass(frozen=True, slots=True)
class Representation:
    """What is to be served. ``sha256`` is its strong validator and, in hex, the digest it has to have.

    ``open_file`` gives a descriptor of the local file that holds it, where there is one, and blocks;
    ``open_cached`` gives one, or none, at once. ``verified`` remembers such files.
    """

    size: int
    sha256: str
    content_type: str
    filename: str
    modified_at: datetime
    open: OpenReader
    verified: RecentlyVerified
    open_file: Callable[[], int] | None = None
    open_cached: Callable[[], int | None] | None = None

    def check_size(self, found: int) -> None:
        """Refuse data of another size.

        Raises:
            CorruptedError: naming both.
        """
        if found != self.size:
            raise CorruptedError(f"the stored file has {found} bytes instead of {self.size}")

    def check_digest(self, found: str) -> None:
        """Refuse other data.

        Raises:
            CorruptedError: naming both digests.
        """
        if found != self.sha256:
            raise CorruptedError(f"the stored file has SHA-256 {found} instead of {self.sha256}")

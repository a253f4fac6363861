"""One upload in progress: bytes are hashed and staged and, if they are what was declared, published."""

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import suppress

from artstore.core.spec import ChecksumMismatchError, IncompleteBodyError
from artstore.plugins.storage_local.beneath import kept
from artstore.plugins.storage_local.root import Root, StagedFile


class Upload:
    """A staged file that becomes the object or vanishes.

    Called in worker threads, one step at a time. ``discard`` may be called at any moment: it waits for
    the step that a cancelled caller left running, and no step begins after it.
    """

    def __init__(self, root: Root, *, size: int | None, sha256: str | None) -> None:
        self._root = root
        self._declared_size = size
        self._declared_sha256 = sha256
        self._size = 0
        self._digest = hashlib.sha256()
        self._staged: StagedFile | None = None
        self._is_discarded = False
        self._step = threading.Lock()

    def write(self, batch: Sequence[bytes]) -> None:
        with self._step:
            self._append(batch)

    def commit(self, rest: Sequence[bytes], target: str) -> tuple[str, os.stat_result]:
        """Write the last bytes and publish the file at ``target``; its SHA-256 and status."""
        with self._step, kept():
            staged = self._append(rest)
            sha256 = self._verify()
            self._root.files.stamp(staged.descriptor, time.time_ns())
            self._root.files.sync(staged.descriptor)
            status = os.fstat(staged.descriptor)
            self._root.publish(staged.path, target)
            self._staged = None
            os.close(staged.descriptor)
            return sha256, status

    def discard(self) -> None:
        """Remove what is staged, if anything is."""
        with self._step:
            self._is_discarded = True
            if self._staged is not None:
                with suppress(OSError):
                    os.close(self._staged.descriptor)
                self._root.discard(self._staged.path)

    def _append(self, batch: Sequence[bytes]) -> StagedFile:
        if self._is_discarded:
            raise CancelledError
        if self._staged is None:
            self._staged = self._root.stage()
        data = b"".join(batch)
        self._size += len(data)
        if self._declared_size is not None and self._size > self._declared_size:
            raise IncompleteBodyError(f"the body is longer than the {self._declared_size} bytes declared")
        self._digest.update(data)
        self._root.files.write(self._staged.descriptor, data)
        return self._staged

    def _verify(self) -> str:
        """The digest of the whole body, which is as long as declared and has the declared digest."""
        if self._declared_size is not None and self._size < self._declared_size:
            raise IncompleteBodyError(
                f"the body has {self._size} of the {self._declared_size} bytes declared"
            )
        sha256 = self._digest.hexdigest()
        if self._declared_sha256 is not None and self._declared_sha256 != sha256:
            raise ChecksumMismatchError(declared=self._declared_sha256, computed=sha256)
        return sha256

"""The ``storage`` contract: objects under keys, whole or absent, durable when acknowledged."""

import os
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from artstore.core.spec.errors import InvalidRequestError, RangeNotSatisfiableError

LONGEST_KEY: Final = 1024
LONGEST_SEGMENT: Final = 255


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A slice of an object: bytes ``start`` to ``end``, both included, 0-based."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a byte range: {self.start}-{self.end}")

    @property
    def length(self) -> int:
        """Number of bytes in the range."""
        return self.end - self.start + 1

    def within(self, size: int) -> "ByteRange":
        """The part of the range that an object of ``size`` bytes has.

        Raises:
            RangeNotSatisfiableError: the range starts after the last byte.
        """
        if self.start >= size:
            raise RangeNotSatisfiableError(size=size)
        return ByteRange(self.start, min(self.end, size - 1))


def validate_key(key: str) -> None:
    """Refuse what is not a key, as :class:`StorageBackend` defines it.

    Raises:
        InvalidRequestError: the message says what is wrong with ``key``.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(f"key {key!r} is not Unicode text") from None
    if not 1 <= len(encoded) <= LONGEST_KEY:
        raise InvalidRequestError(f"a key has 1 to {LONGEST_KEY} bytes of UTF-8, this one has {len(encoded)}")
    if b"\0" in encoded:
        raise InvalidRequestError(f"key {key!r} holds the character NUL")
    for segment in encoded.split(b"/"):
        if segment in (b"", b".", b"..") or len(segment) > LONGEST_SEGMENT:
            raise InvalidRequestError(
                f"key {key!r} has a segment that is empty, '.', '..' or longer than {LONGEST_SEGMENT} bytes"
            )


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of one version of one object.

    ``sha256`` is 64 lower-case hex digits; ``put`` always gives it, ``head`` and ``list`` give it only
    where the back end keeps it. ``etag`` is opaque and changes whenever the bytes change.
    """

    key: str
    size: int
    etag: str
    modified_at: datetime
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Space in bytes. ``None`` means the back end cannot know (an object store without a quota)."""

    used: int | None
    total: int | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True)
class StorageReader:
    """One version of one object, open for reading.

    ``chunks`` yields the requested range once, in order, in chunks of at most 1 MiB.
    """

    info: ObjectInfo
    chunks: AsyncIterator[bytes]


@runtime_checkable
class LocalPaths(Protocol):
    """Ability: objects are plain files of this host, so that the kernel can send them."""

    @abstractmethod
    def path(self, key: str) -> Path:
        """The file that holds ``key``. Does no I/O; the file need not exist.

        Raises:
            InvalidRequestError: ``key`` is not a valid key.
        """
        ...

    def open(self, key: str) -> int:
        """Open that file for reading; its descriptor, which the caller closes. Blocks.

        A link is no object. A storage whose directories others may exchange for links overrides this.

        Raises:
            InvalidRequestError: ``key`` is not a valid key.
            OSError: there is no such file, or it cannot be read.
        """
        return os.open(self.path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

    def open_cached(self, key: str) -> int | None:
        """The same at once, which the event loop may wait for: ``None`` where the disk may have to be asked.

        ``None`` also where it fails, since :meth:`open` tells why. A storage that cannot know need not
        override this.
        """
        return None


@runtime_checkable
class Presigner(Protocol):
    """Ability: time-limited URLs with which a client reads an object without credentials."""

    @abstractmethod
    async def presign_get(self, key: str, *, expires_in: float) -> str:
        """A URL that reads ``key`` for ``expires_in`` seconds."""
        ...


@runtime_checkable
class AtomicBatch(Protocol):
    """Ability: several small objects at once, for what one sync of the disk costs."""

    @property
    @abstractmethod
    def max_batch_size(self) -> int:
        """Bytes that the objects of one batch may have together."""
        ...

    @abstractmethod
    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        """Store each object under its key, replacing what was there; what is known of each, in their order.

        Their ``sha256`` may be absent: who has all of the bytes need not be told.

        All or nothing: after any crash all keys have their new objects, or all what they had before.
        Durable when it returns, and seen by every method of the back end from then on.

        Raises:
            ContentTooLargeError: the objects have more than ``max_batch_size`` bytes; nothing was stored.
            InsufficientStorageError: no room; nothing was stored.
        """
        ...


@runtime_checkable
class ExclusiveUse(Protocol):
    """Ability: leaves alone what another process may be at work with, until it is told that there is none.

    Opened, such a back end mends nothing yet: what a process that was killed left behind may be that of
    one that lives. Objects that one acknowledged last may not be seen before ``take_over``.
    """

    @abstractmethod
    async def is_certain(self) -> bool:
        """Whether a lock that every process meets keeps all others off the medium, at this moment."""
        ...

    @abstractmethod
    async def take_over(self, may_change: Callable[[str], bool]) -> None:
        """The caller is the only one at work here: mend what an earlier process left.

        From now on ask ``may_change(key)``, which is quick and called in any thread, as late as possible
        before an object is changed or removed; where it says no, change nothing and raise
        ``UnavailableError``.
        """
        ...

    @abstractmethod
    async def hand_over(self) -> None:
        """Finish what is under way, so that whoever comes next has nothing to mend."""
        ...


@dataclass(frozen=True, slots=True)
class Stranger:
    """Something on the medium that is no object: where it lies and what it is, both as people read it."""

    name: str
    what: str


@runtime_checkable
class Strangers(Protocol):
    """Ability: tells what lies where the objects are kept, and is reached by no key, such as links."""

    @abstractmethod
    def list_strangers(self) -> AsyncIterator[Stranger]:
        """All of it, in any order, and nothing that ``list`` gives.

        Of the back end's own working area what it does not use itself, since others may have put it there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a storage back end is (facts) and can do (abilities: objects, or ``None``).

    Fixed once the back end is open. Wrappers forward or mask with :func:`dataclasses.replace`.
    """

    atomic_put: bool
    durable_put: bool
    max_object_size: int | None = None
    local_paths: LocalPaths | None = None
    presigner: Presigner | None = None
    atomic_batch: AtomicBatch | None = None
    exclusive_use: ExclusiveUse | None = None
    strangers: Strangers | None = None

    def names(self) -> list[str]:
        """The facts that hold and the abilities that are present, sorted."""
        return sorted(name for name in self.__dataclass_fields__ if getattr(self, name))


@runtime_checkable
class StorageBackend(Protocol):
    """Keeps objects under keys.

    A key is a relative POSIX path of 1 to 1024 bytes of UTF-8: segments of 1 to 255 bytes joined by
    ``/``; no segment is ``.`` or ``..``, none holds NUL. Every method raises ``InvalidRequestError``
    for another key (:func:`validate_key`), and ``UnavailableError`` when the back end cannot be reached.
    """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Facts and abilities; constant while the back end is open."""
        ...

    @abstractmethod
    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        """Store ``body`` under ``key``, replacing what was there.

        Atomic: at every moment, and after any crash, the key has the whole old object or the whole new
        one. Durable when it returns. An error from ``body`` is raised unchanged and leaves the old
        object. Memory stays bounded whatever the size.

        Args:
            key: Where to store it.
            body: The bytes, in chunks of any size.
            size: The exact length in bytes if it is known beforehand.
            sha256: The digest the bytes must have, 64 lower-case hex digits.

        Raises:
            AlreadyExistsError: objects are files here, and ``key`` is above or below the key of another.
            ChecksumMismatchError: the bytes have another digest; nothing was stored.
            IncompleteBodyError: the body is shorter or longer than ``size``; nothing was stored.
            InsufficientStorageError: no room; nothing was stored.
        """
        ...

    @abstractmethod
    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        """Open one version of ``key``; leaving the context closes it, however much was read.

        A range that ends after the last byte is cut there.

        Raises:
            NotFoundError: on entering, when there is no such object.
            RangeNotSatisfiableError: on entering, when the range starts after the last byte.
        """
        ...

    @abstractmethod
    async def head(self, key: str) -> ObjectInfo:
        """Describe ``key``.

        Raises:
            NotFoundError: there is no such object.
        """
        ...

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove ``key`` durably. Idempotent: an absent key is not an error."""
        ...

    @abstractmethod
    def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with ``prefix`` and sorts after ``after``.

        In order of the keys' UTF-8 bytes. Objects put or deleted meanwhile may or may not appear;
        all others appear exactly once. The back end's own working files never appear.
        """
        ...

    @abstractmethod
    async def usage(self) -> Usage:
        """Space of the medium, in bytes."""
        ...

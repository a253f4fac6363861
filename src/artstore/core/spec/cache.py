"""The ``cache`` contract: values that may vanish at any time."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable


@runtime_checkable
class Cache(Protocol):
    """Keeps small values for a while. The only kind that may fail open: callers go on without it.

    Keys are text of 1 to 512 characters; methods raise ``InvalidRequestError`` for another key, and
    ``UnavailableError`` when the cache cannot be reached.
    """

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The value, or ``None`` when it is absent or expired."""
        ...

    @abstractmethod
    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep ``value`` for at most ``ttl`` seconds."""
        ...

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Forget ``key``. Idempotent."""
        ...

    @abstractmethod
    async def increment(self, key: str, *, window: float) -> tuple[int, float]:
        """Count one event in a fixed window of ``window`` seconds that starts with its first event.

        Returns the count including this event and the seconds until the window ends. Atomic across
        all users of the cache.
        """
        ...

    @abstractmethod
    async def publish(self, channel: str, message: bytes) -> None:
        """Hand ``message`` to every current subscriber of ``channel``; none may be there."""
        ...

    @abstractmethod
    def subscribe(self, channel: str) -> AsyncGenerator[bytes, None]:
        """Messages published from the first ``__anext__`` on, until the iterator is closed."""
        ...

"""Puts together what belongs together in a storage: each file's data and its sidecar."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import ObjectInfo, StorageBackend
from artstore.services.storage_element.fixity_records import SAMPLE_KEY
from artstore.services.storage_element.identity import GUIDE_KEY, IDENTITY_KEY
from artstore.services.storage_element.lease_record import LEASE_KEY
from artstore.services.storage_element.trusted_time import CLOCK_KEY

OF_THE_ROOT: Final = frozenset({CLOCK_KEY, GUIDE_KEY, IDENTITY_KEY, LEASE_KEY, SAMPLE_KEY})


@dataclass(frozen=True, slots=True)
class Pair:
    """What is at the key of data and at that of their sidecar; at least one of them."""

    key: str
    data: ObjectInfo | None
    has_sidecar: bool

    @property
    def objects(self) -> int:
        """How many objects it is of."""
        return (self.data is not None) + self.has_sidecar

    @property
    def sidecar_key(self) -> str:
        return self.key + SIDECAR_SUFFIX


@dataclass(frozen=True, slots=True)
class Pairs:
    """Some pairs. A walk that goes on after ``cursor`` sees all others."""

    pairs: list[Pair]
    cursor: str | None


async def walk_pairs(storage: StorageBackend, *, after: str | None, size: int) -> AsyncGenerator[Pairs, None]:
    """Everything after a key, about ``size`` pairs at a time; memory stays bounded."""
    pairing = Pairing(after)
    pairs: list[Pair] = []
    async for info in storage.list(after=after):
        pairs += pairing.take(info)
        if len(pairs) >= size:
            yield Pairs(pairs, pairing.cursor)
            pairs = []
    yield Pairs([*pairs, *pairing.rest()], pairing.last)


class Pairing:
    """Takes objects in the order of their keys. Data wait for their sidecar until it can come no more."""

    def __init__(self, after: str | None) -> None:
        self.last = after
        self._waiting: dict[str, tuple[ObjectInfo, str | None]] = {}

    @property
    def cursor(self) -> str | None:
        """The last key before everything that waits."""
        for _, before in self._waiting.values():
            return before
        return self.last

    def take(self, info: ObjectInfo) -> Iterator[Pair]:
        if info.key in OF_THE_ROOT:
            return
        for key in [key for key in self._waiting if _encoded(key + SIDECAR_SUFFIX) < _encoded(info.key)]:
            yield Pair(key, self._waiting.pop(key)[0], has_sidecar=False)
        if info.key.endswith(SIDECAR_SUFFIX):
            key = info.key.removesuffix(SIDECAR_SUFFIX)
            data, _ = self._waiting.pop(key, (None, None))
            yield Pair(key, data, has_sidecar=True)
        else:
            self._waiting[info.key] = (info, self.last)
        self.last = info.key

    def rest(self) -> Iterator[Pair]:
        """All that waits: nothing more comes."""
        for key, (info, _) in self._waiting.items():
            yield Pair(key, info, has_sidecar=False)
        self._waiting.clear()


def _encoded(key: str) -> bytes:
    """Keys are in the order of their bytes."""
    return key.encode()

"""The chain of seals: each record is bound to its position and to all records before it."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from uuid import UUID

AUDIT_KEY: Final = "audit-key"
"""Name of the secret."""

GENESIS: Final = bytes(32)
"""What the first record has before it."""

_RECORD: Final = b"record\0"
_HEAD: Final = b"head\0"
_LOG: Final = b"log\0"


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record in its place. ``text`` is its canonical JSON, ``mac`` seals it and all before it."""

    position: int
    text: bytes
    mac: bytes

    def leaf(self) -> bytes:
        """What the hash tree has of it."""
        return self.position.to_bytes(8) + self.mac + self.text


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: its last position and that record's MAC, sealed against cutting it off."""

    position: int
    mac: bytes
    seal: bytes


class Sealer:
    """Makes and checks seals with the audit key, which is never in the database. Has no repr of it."""

    __slots__ = ("_key",)  # instead of a dictionary, in which tools that show variables would find it

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, position: int, previous: bytes, text: bytes) -> bytes:
        """HMAC-SHA-256 (RFC 2104) over position, previous MAC and record.

        The first two have a fixed length: no two inputs read the same.
        """
        return self._hmac(_RECORD, position.to_bytes(8) + previous + text)

    def head(self, position: int, mac: bytes) -> Head:
        return Head(position, mac, self._hmac(_HEAD, position.to_bytes(8) + mac))

    def is_right(self, head: Head) -> bool:
        return hmac.compare_digest(head.seal, self.head(head.position, head.mac).seal)

    def log_id(self) -> UUID:
        """Names the log of this key, and tells nothing of the key."""
        return UUID(bytes=self._hmac(_LOG, b"")[:16])

    def _hmac(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.digest(self._key, purpose + message, hashlib.sha256)

"""The hash tree of RFC 6962 section 2.1, grown leaf by leaf without keeping the leaves."""

import hashlib
from collections.abc import Iterable

EMPTY_ROOT = hashlib.sha256().digest()


class MerkleTree:
    """A tree of ``size`` leaves, kept as the roots of its complete subtrees, the largest first.

    That is at most one hash per bit of ``size``: enough to add leaves and to tell the root.
    """

    def __init__(self, size: int = 0, subtrees: Iterable[bytes] = ()) -> None:
        self.size = size
        self._subtrees = list(subtrees)
        if len(self._subtrees) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees")

    @property
    def subtrees(self) -> tuple[bytes, ...]:
        """From these a tree can be grown on."""
        return tuple(self._subtrees)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf."""
        node, size = leaf_hash, self.size
        while size & 1:
            node = _node(self._subtrees.pop(), node)
            size >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The Merkle tree hash."""
        if not self._subtrees:
            return EMPTY_ROOT
        *larger, node = self._subtrees
        for subtree in reversed(larger):
            node = _node(subtree, node)
        return node


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()

"""The hash tree is the one of RFC 6962."""

import hashlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from artstore.core.audit.merkle import EMPTY_ROOT, MerkleTree, leaf_hash


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=4), max_size=40), st.integers(0, 40))
def test_a_tree_that_is_grown_on_has_the_root_of_the_definition(leaves: list[bytes], half: int) -> None:
    first = MerkleTree()
    for leaf in leaves[:half]:
        first.append(leaf_hash(leaf))

    tree = MerkleTree(first.size, first.subtrees)
    for leaf in leaves[half:]:
        tree.append(leaf_hash(leaf))

    assert tree.root() == by_definition(leaves)


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert MerkleTree().root() == EMPTY_ROOT == by_definition([])

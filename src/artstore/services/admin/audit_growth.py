"""The next checkpoint of the audit log, while its records are read."""

from collections.abc import Sequence
from datetime import datetime

from artstore.core.audit.checkpoints import Checkpoint, CheckpointBody
from artstore.core.audit.merkle import MerkleTree, leaf_hash
from artstore.core.audit.sealing import GENESIS, Sealer
from artstore.core.spec import CorruptedError, Row
from artstore.core.stores.audit import AuditRow


class Growth:
    """Grows the hash tree of the checkpoint before by the records after it, whose seals it checks."""

    def __init__(self, sealer: Sealer, behind: Checkpoint | None) -> None:
        self._sealer = sealer
        self._number = 1 if behind is None else behind.number + 1
        self._tree = MerkleTree() if behind is None else behind.tree()
        self._mac = GENESIS if behind is None else bytes.fromhex(behind.last_mac)
        self._leaves = list[str]()

    @property
    def size(self) -> int:
        """How many records the tree has."""
        return self._tree.size

    def add(self, rows: Sequence[Row]) -> None:
        """The next records.

        Raises:
            CorruptedError: one of them is not what was sealed.
            ValueError: one of them is no record.
        """
        for row in rows:
            sealed = AuditRow.from_row(row).as_sealed()
            place = self.size + 1
            if sealed.position != place or sealed.mac != self._sealer.mac(place, self._mac, sealed.text):
                raise CorruptedError(f"record {place} of the audit log is not what was sealed")
            hashed = leaf_hash(sealed.leaf())
            self._leaves.append(hashed.hex())
            self._tree.append(hashed)
            self._mac = sealed.mac

    def body(self, *, created_at: datetime) -> CheckpointBody:
        """What is to be signed."""
        return CheckpointBody(
            log_id=self._sealer.log_id(),
            number=self._number,
            size=self.size,
            root=self._tree.root().hex(),
            subtrees=[subtree.hex() for subtree in self._tree.subtrees],
            last_mac=self._mac.hex(),
            leaves=self._leaves,
            created_at=created_at,
        )

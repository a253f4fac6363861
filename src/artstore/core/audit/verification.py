"""Whether a log is what was written: names the first record that is not, online and offline alike."""

from collections.abc import Iterable
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, Field, ValidationError

from artstore.core.audit.checkpoints import Checkpoint
from artstore.core.audit.merkle import MerkleTree, leaf_hash
from artstore.core.audit.record import BROKEN_OFF, AuditRecord, told_pruned
from artstore.core.audit.sealing import GENESIS, Head, SealedRecord, Sealer

MAX_GAPS: Final = 100


class Fault(BaseModel):
    """The first record that is not what it was, or not there."""

    position: int
    reason: str


class Gap(BaseModel):
    """Records that a process noted and that never came."""

    source: str
    after: Annotated[int, Field(description="Sequence of the last one before.")]
    next: Annotated[int, Field(description="Sequence of the first one after.")]
    position: Annotated[int, Field(description="Where that one is in the log.")]


class Verification(BaseModel):
    """What came of verifying a log. It is sound without a fault and without gaps."""

    is_sound: bool
    records: Annotated[int, Field(description="How many were compared and found right.")]
    first_position: int | None = None
    last_position: Annotated[int, Field(description="Of the last record that was found right, else 0.")]
    checkpoints: Annotated[int, Field(description="How many agree with the records.")]
    covered_to: Annotated[int, Field(description="Position up to which a signed checkpoint vouches.")]
    fault: Fault | None = None
    gaps: list[Gap] = Field(default_factory=list[Gap])
    unchecked: Annotated[
        list[str], Field(description="Storage elements that could not be asked for checkpoints.")
    ] = Field(default_factory=list[str])


class Verifier:
    """Compares records, in the order of their positions, with seals and checkpoints.

    With the audit key (``sealer``) every record is checked by its MAC; with the public key, every record
    that a checkpoint covers by its place in the signed tree, which also holds against whoever has the
    audit key. ``checkpoints`` may have gaps.
    """

    def __init__(
        self,
        *,
        sealer: Sealer | None = None,
        public_key: Ed25519PublicKey | None = None,
        checkpoints: Iterable[Checkpoint] = (),
    ) -> None:
        self._sealer = sealer
        self._checkpoints = sorted(checkpoints, key=lambda checkpoint: checkpoint.number)
        self._next_checkpoint = 0
        self._agreed = 0
        self._covered_to = 0
        self._tree = MerkleTree()
        self._mac = GENESIS
        self._records = 0
        self._first: int | None = None
        self._pruned_through = 0
        self._sequences: dict[str, int] = {}
        self._gaps: list[Gap] = []
        self.fault: Fault | None = None
        if public_key is not None:
            self._check_signatures(public_key)

    @property
    def last_position(self) -> int:
        return self._tree.size

    def add(self, record: SealedRecord) -> None:
        """The next record of the log. After a fault nothing more is compared."""
        if self.fault is not None:
            return
        if self._first is None:
            self._begin(record.position)
        if record.position != self.last_position + 1:
            self.blame(self.last_position + 1, f"is missing: position {record.position} comes next")
        elif self._sealer is not None and not self._is_sealed(self._sealer, record):
            self.blame(record.position, "was altered, moved or put in: its seal is not the one of its place")
        else:
            self._compare(record)

    def finish(self, *, before: Head | None = None, after: Head | None = None) -> Verification:
        """All records have been given.

        ``before`` and ``after`` are the ends that the database told of before and after they were read: the
        log may have grown meanwhile.
        """
        if self.fault is None and self._sealer is not None and before is not None and after is not None:
            self._check_end(self._sealer, before, after)
        if self.fault is None and self._checkpoints and self._checkpoints[-1].size > self.last_position:
            last = self._checkpoints[-1]
            when = last.created_at.isoformat(timespec="seconds")
            self.blame(
                self.last_position + 1,
                f"is missing: checkpoint {last.number} of {when} is of {last.size} records",
            )
        if self._first is not None and self._first > 1 and self._pruned_through < self._first - 1:
            self.blame(1, f"is missing, up to position {self._first - 1}: no record tells of pruning them")
        return Verification(
            is_sound=self.fault is None and not self._gaps,
            records=self._records,
            first_position=self._first,
            last_position=self.last_position,
            checkpoints=self._agreed,
            covered_to=self._covered_to,
            fault=self.fault,
            gaps=self._gaps,
        )

    def _begin(self, position: int) -> None:
        """A log that was pruned goes on from the checkpoint behind which it was."""
        self._first = position
        if position == 1:
            return
        behind = next((each for each in self._checkpoints if each.size == position - 1), None)
        if behind is None:
            self.blame(1, f"is missing, up to position {position - 1}: no checkpoint vouches for them")
            return
        self._tree, self._mac = behind.tree(), bytes.fromhex(behind.last_mac)
        self._next_checkpoint = self._checkpoints.index(behind) + 1
        self._agreed, self._covered_to = 1, behind.size

    def _is_sealed(self, sealer: Sealer, record: SealedRecord) -> bool:
        return sealer.mac(record.position, self._mac, record.text) == record.mac

    def _compare(self, record: SealedRecord) -> None:
        hashed = leaf_hash(record.leaf())
        checkpoint = self._due()
        if checkpoint is not None and record.position >= checkpoint.first:
            vouched = checkpoint.leaves[record.position - checkpoint.first]
            if vouched != hashed.hex():
                self.blame(record.position, f"is not the one that checkpoint {checkpoint.number} vouches for")
                return
        self._tree.append(hashed)
        self._mac = record.mac
        if checkpoint is not None and record.position == checkpoint.size and not self._agrees(checkpoint):
            return
        self._records += 1
        self._read(record)

    def _due(self) -> Checkpoint | None:
        """The checkpoint that vouches for the next record."""
        if self._next_checkpoint < len(self._checkpoints):
            return self._checkpoints[self._next_checkpoint]
        return None

    def _agrees(self, checkpoint: Checkpoint) -> bool:
        if self._tree.root().hex() != checkpoint.root or self._mac.hex() != checkpoint.last_mac:
            self.blame(
                self._covered_to + 1,
                f"or one after it, up to position {checkpoint.size}, is not the one that checkpoint "
                f"{checkpoint.number} vouches for",
            )
            return False
        self._next_checkpoint += 1
        self._agreed += 1
        self._covered_to = checkpoint.size
        return True

    def _read(self, sealed: SealedRecord) -> None:
        try:
            record = AuditRecord.model_validate_json(sealed.text)
        except ValidationError:
            self.blame(sealed.position, "is no record")
            return
        known = self._sequences.get(record.source)
        if known is None and self._first == 1:
            known = 0
        if known is not None and record.sequence != known + 1 and len(self._gaps) < MAX_GAPS:
            self._gaps.append(
                Gap(source=record.source, after=known, next=record.sequence, position=sealed.position)
            )
        self._sequences[record.source] = record.sequence
        # What another role reports cannot be about the log: it could excuse what is missing, or slander it.
        if record.reported_by is None:
            self._heed(record, sealed.position)

    def _heed(self, record: AuditRecord, position: int) -> None:
        self._pruned_through = max(self._pruned_through, told_pruned(record))
        if record.event == BROKEN_OFF:
            self.blame(position, "tells that records before it were taken away")

    def _check_signatures(self, public_key: Ed25519PublicKey) -> None:
        previous = 0
        for checkpoint in self._checkpoints:
            if not checkpoint.is_signed_by(public_key) or checkpoint.first < 1:
                self.blame(
                    previous + 1, f"or a later one is in doubt: checkpoint {checkpoint.number} is forged"
                )
                return
            previous = checkpoint.size

    def _check_end(self, sealer: Sealer, before: Head, after: Head) -> None:
        following = self.last_position + 1
        if before.position > 0 and not sealer.is_right(before):
            self.blame(following, "may be missing: the end of the log is not sealed")
        elif before.position > self.last_position:
            self.blame(following, f"is missing: the log ends with position {before.position}")
        elif after.position < self.last_position:
            self.blame(after.position + 1, f"was added: the log ends with position {after.position}")

    def blame(self, position: int, reason: str) -> None:
        """Keep the first fault. ``reason`` goes on after the position."""
        if self.fault is None or position < self.fault.position:
            self.fault = Fault(position=position, reason=f"record {position} {reason}")

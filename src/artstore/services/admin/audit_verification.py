"""Verifies the log in the database: every record, the end, and the checkpoints here and on the elements."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from artstore.core.audit.checkpoints import Checkpoint
from artstore.core.audit.sealing import Sealer
from artstore.core.audit.verification import Verification, Verifier
from artstore.core.spec import Row
from artstore.core.stores.audit import AuditRow, AuditStore
from artstore.core.stores.audit_checkpoints import CheckpointsStore
from artstore.core.stores.rows import integer
from artstore.services.admin.checkpoint_shelf import CheckpointShelf


class AuditVerification:
    """Reads the log while it grows."""

    def __init__(
        self,
        store: AuditStore,
        checkpoints: CheckpointsStore,
        shelf: CheckpointShelf,
        *,
        sealer: Sealer,
        public_key: Ed25519PublicKey,
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._shelf = shelf
        self._sealer = sealer
        self._public_key = public_key

    async def verify(self) -> Verification:
        """Whether all that was recorded is there and as it was.

        What is being pruned goes bit by bit: it is left out, and what seems to be missing because that began
        meanwhile is looked at again.

        Raises:
            UnavailableError: the database cannot be read.
        """
        beyond = await self._store.pruned_through()
        while True:
            report = await self._verify(beyond)
            before, beyond = beyond, await self._store.pruned_through()
            if report.fault is None or beyond == before:
                return report

    async def _verify(self, beyond: int) -> Verification:
        evidence, doubt = Evidence(self._shelf, self._sealer.log_id()), None
        try:
            await evidence.gather(await self._checkpoints.list())
        except ValueError:
            doubt = "or a later one is in doubt: what should be a checkpoint is none"
        verifier = Verifier(
            sealer=self._sealer, public_key=self._public_key, checkpoints=evidence.checkpoints.values()
        )
        if doubt is not None:
            verifier.blame(1, doubt)
        report = await self._read(verifier, beyond)
        return report.model_copy(update={"unchecked": sorted(evidence.unchecked)})

    async def _read(self, verifier: Verifier, beyond: int) -> Verification:
        while True:
            before, known = await self._store.head(), max(verifier.last_position, beyond)
            async for rows in self._store.walk(after=known):
                await asyncio.to_thread(_add, verifier, rows)
                if verifier.fault is not None:
                    break
            after = await self._store.head()
            if verifier.fault is not None or after.position <= before.position:
                return verifier.finish(before=before, after=after)


class Evidence:
    """The checkpoints to compare with: those of the table, and what the elements say of them.

    Where the two differ the elements' counts, and so does what only they have: whoever has the database
    does not have them.
    """

    def __init__(self, shelf: CheckpointShelf, log_id: UUID) -> None:
        self._shelf = shelf
        self._log_id = log_id
        self.checkpoints: dict[int, Checkpoint] = {}
        self.unchecked: set[str] = set()

    async def gather(self, known: Sequence[Checkpoint]) -> None:
        """Ask the elements for those that the table does not have, and for the newest that it has.

        Raises:
            ValueError: what an element has is no checkpoint.
        """
        self.checkpoints = {checkpoint.number: checkpoint for checkpoint in known}
        newest = max(self.checkpoints, default=0)
        number = newest + 1
        while await self._learn(number):
            number += 1
        # The last ones of a log that was set back may be on no element: go back to one that is agreed on.
        number = newest
        while number in self.checkpoints:
            table = self.checkpoints[number]
            if await self._learn(number) and self.checkpoints[number] == table:
                return
            number -= 1

    async def _learn(self, number: int) -> bool:
        """Whether an element has it; a document that is not the one of the table takes its place."""
        found = await self._shelf.find(self._log_id, number)
        self.unchecked |= set(found.unchecked)
        for document in found.documents:
            checkpoint = Checkpoint.from_json(document)
            if checkpoint != self.checkpoints.get(number):
                self.checkpoints[number] = checkpoint
        return bool(found.documents)


def _add(verifier: Verifier, rows: Sequence[Row]) -> None:
    for row in rows:
        position = integer(row, "position")
        try:
            record = AuditRow.from_row(row)
            sealed = record.as_sealed()
        except ValueError:
            verifier.blame(position, "is no record")
            return
        verifier.add(sealed)
        if verifier.fault is None and not record.repeats_its_record():
            verifier.blame(position, "is found by other words than its own: a column was altered")

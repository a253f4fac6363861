"""How far the journal of each storage element has been read into the index."""

from datetime import UTC, datetime
from typing import Final

from artstore.core.spec import Reader, Transaction
from artstore.core.stores.rows import Record, StoredTime

_SET: Final = (
    "INSERT INTO index_positions (element_id, epoch, sequence, updated_at)"
    " VALUES (:element_id, :epoch, :sequence, :updated_at)"
    " ON CONFLICT (element_id) DO UPDATE SET"
    " epoch = excluded.epoch, sequence = excluded.sequence, updated_at = excluded.updated_at"
)


class IndexPosition(Record):
    """The epoch of a journal that is being read, and the last entry that was."""

    element_id: str
    epoch: str
    sequence: int
    updated_at: StoredTime

    def covers(self, *, epoch: str, sequence: int) -> bool:
        """Whether an entry was read, or belongs to an epoch that is not the one being read."""
        return epoch != self.epoch or sequence <= self.sequence


async def get_position(reader: Reader, element_id: str) -> IndexPosition | None:
    row = await reader.fetch_one(
        "SELECT * FROM index_positions WHERE element_id = :element_id", {"element_id": element_id}
    )
    return None if row is None else IndexPosition.from_row(row)


async def list_positions(reader: Reader) -> list[IndexPosition]:
    rows = await reader.fetch_all("SELECT * FROM index_positions ORDER BY element_id")
    return [IndexPosition.from_row(row) for row in rows]


async def set_position(transaction: Transaction, element_id: str, *, epoch: str, sequence: int) -> None:
    position = IndexPosition(
        element_id=element_id, epoch=epoch, sequence=sequence, updated_at=datetime.now(UTC)
    )
    await transaction.execute(_SET, position.to_row())

"""Writes files, their tags, their attributes and their searchable text in one transaction."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from artstore.core.spec import Parameters, SearchIndex, Transaction
from artstore.core.stores.file_rows import COLUMNS, FileRow
from artstore.core.stores.rows import integer

_UPSERT: Final = (
    f"INSERT INTO files (row_id, {', '.join(COLUMNS)})"
    f" VALUES (:row_id, {', '.join(f':{column}' for column in COLUMNS)})"
    f" ON CONFLICT (row_id) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in COLUMNS)}"
)
_BLOCK: Final = 1024
"""Row ids that are looked at together: as many as a microsecond has."""
_VALUE_TABLES: Final = ("file_sidecars", "file_tags", "file_attributes")


class FileWriter:
    """What one transaction changes in the index of files."""

    def __init__(self, transaction: Transaction, search_index: SearchIndex | None) -> None:
        self._transaction = transaction
        self._search_index = search_index
        self._neighbours: dict[int, frozenset[int]] = {}

    async def write(self, rows: Mapping[int, FileRow], *, replaced: Sequence[int]) -> None:
        """Write each row under its ``row_id``; ``replaced`` names those that are there already."""
        if not rows:
            return
        await self._delete_from(_VALUE_TABLES, replaced)
        await self._many(_UPSERT, ({**row.columns, "row_id": row_id} for row_id, row in rows.items()))
        await self._many(
            "INSERT INTO file_sidecars (row_id, attributes) VALUES (:row_id, :attributes)",
            ({"row_id": row_id, "attributes": row.sidecar} for row_id, row in rows.items()),
        )
        await self._many(
            "INSERT INTO file_tags (row_id, tag) VALUES (:row_id, :tag)",
            ({"row_id": row_id, "tag": tag} for row_id, row in rows.items() for tag in row.tags),
        )
        await self._many(
            "INSERT INTO file_attributes (row_id, name, value) VALUES (:row_id, :name, :value)",
            (
                {"row_id": row_id, "name": name, "value": value}
                for row_id, row in rows.items()
                for name, value in row.values.items()
            ),
        )
        if self._search_index is not None:
            documents = [row.document(row_id) for row_id, row in rows.items()]
            await self._search_index.put(self._transaction, documents)

    async def confirm(self, sequences: Mapping[int, int], *, epoch: str) -> None:
        """Note that the rows were said again, unchanged, as these entries of this epoch."""
        await self._many(
            "UPDATE files SET epoch = :epoch, sequence = :sequence WHERE row_id = :row_id",
            (
                {"row_id": row_id, "epoch": epoch, "sequence": sequence}
                for row_id, sequence in sequences.items()
            ),
        )

    async def remove(self, row_ids: Sequence[int]) -> None:
        if not row_ids:
            return
        await self._delete_from((*_VALUE_TABLES, "files"), row_ids)
        if self._search_index is not None:
            await self._search_index.delete(self._transaction, row_ids)

    async def place(self, rows: Sequence[FileRow], *, taken: Container[int]) -> dict[int, FileRow]:
        """Give each new row the first free ``row_id`` from its own upward.

        ``taken`` tells which of the rows' own are not free.
        """
        placed: dict[int, FileRow] = {}
        for row in rows:
            row_id = row.preferred_row_id
            if row_id in placed or row_id in taken:
                row_id = await self._free_above(row_id, placed)
            placed[row_id] = row
        return placed

    async def _free_above(self, row_id: int, placed: Container[int]) -> int:
        candidate = row_id + 1
        while candidate in placed or await self._is_taken(candidate):
            candidate += 1
        return candidate

    async def _is_taken(self, row_id: int) -> bool:
        """Whoever imports files may stamp thousands with one time: all their ids are asked for at once."""
        first = row_id - row_id % _BLOCK
        if first not in self._neighbours:
            rows = await self._transaction.fetch_all(
                "SELECT row_id FROM files WHERE row_id BETWEEN :first AND :last",
                {"first": first, "last": first + _BLOCK - 1},
            )
            self._neighbours[first] = frozenset(integer(row, "row_id") for row in rows)
        return row_id in self._neighbours[first]

    async def _delete_from(self, tables: Sequence[str], row_ids: Sequence[int]) -> None:
        for table in tables:
            await self._many(
                f"DELETE FROM {table} WHERE row_id = :row_id",
                ({"row_id": row_id} for row_id in row_ids),
            )

    async def _many(self, sql: str, batch: Iterable[Parameters]) -> None:
        if parameters := list(batch):
            await self._transaction.executemany(sql, parameters)

"""What a check of the catalog found and saw: kept beside the catalog, until the next check begins."""

from collections.abc import Iterable, Sequence
from typing import Final

from artstore.core.inspection import Finding, FindingKind
from artstore.core.spec import Reader, Transaction
from artstore.core.stores.rows import count, listed, text

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS catalog_findings (kind TEXT NOT NULL, storage_key TEXT NOT NULL,"
    " file_id TEXT, reason TEXT NOT NULL, PRIMARY KEY (kind, storage_key))",
    "CREATE TABLE IF NOT EXISTS catalog_seen (file_id TEXT PRIMARY KEY)",
)
_PUT: Final = (
    "INSERT INTO catalog_findings (kind, storage_key, file_id, reason)"
    " VALUES (:kind, :storage_key, :file_id, :reason) ON CONFLICT (kind, storage_key) DO NOTHING"
)
_SEE: Final = "INSERT INTO catalog_seen (file_id) VALUES (:file_id) ON CONFLICT (file_id) DO NOTHING"
_LIST: Final = (
    "SELECT kind, storage_key, file_id, reason FROM catalog_findings WHERE kind IN ({kinds})"
    " ORDER BY kind, storage_key LIMIT :limit"
)
_UNSEEN: Final = (
    "SELECT f.file_id FROM catalog_files AS f LEFT JOIN catalog_seen AS s ON s.file_id = f.file_id"
    " WHERE s.file_id IS NULL AND f.file_id > :after ORDER BY f.file_id LIMIT :limit"
)


async def prepare_findings(transaction: Transaction) -> None:
    """Make the tables, where nothing was ever looked for."""
    for statement in _TABLES:
        await transaction.execute(statement)


async def begin_findings(transaction: Transaction) -> None:
    """Nothing is found, nothing seen."""
    await prepare_findings(transaction)
    await transaction.execute("DELETE FROM catalog_findings")
    await transaction.execute("DELETE FROM catalog_seen")


async def put_findings(transaction: Transaction, findings: Iterable[Finding]) -> None:
    rows = [
        {"kind": each.kind, "storage_key": each.key, "file_id": each.file_id, "reason": each.reason}
        for each in findings
    ]
    if rows:
        await transaction.executemany(_PUT, rows)


async def drop_finding(transaction: Transaction, finding: Finding) -> None:
    await transaction.execute(
        "DELETE FROM catalog_findings WHERE kind = :kind AND storage_key = :storage_key",
        {"kind": finding.kind, "storage_key": finding.key},
    )


async def count_findings(reader: Reader, kind: FindingKind) -> int:
    return await count(reader, "SELECT 1 FROM catalog_findings WHERE kind = :kind", {"kind": kind})


async def list_findings(reader: Reader, kinds: Sequence[FindingKind], *, limit: int) -> list[Finding]:
    """The first ``limit`` findings of ``kinds``."""
    inside, parameters = listed("kind", kinds)
    rows = await reader.fetch_all(_LIST.format(kinds=inside), {**parameters, "limit": limit})
    return [Finding.model_validate({**row, "key": row["storage_key"]}) for row in rows]


async def see(transaction: Transaction, file_ids: Iterable[str]) -> None:
    """Sidecars of these files were seen."""
    rows = [{"file_id": file_id} for file_id in file_ids]
    if rows:
        await transaction.executemany(_SEE, rows)


async def forget_seen(transaction: Transaction) -> None:
    await transaction.execute("DELETE FROM catalog_seen")


async def unseen(reader: Reader, *, after: str, limit: int) -> list[str]:
    """Ids of rows whose sidecars were not seen, in order."""
    rows = await reader.fetch_all(_UNSEEN, {"after": after, "limit": limit})
    return [text(row, "file_id") for row in rows]

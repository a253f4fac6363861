"""How far work on the catalog has come: kept in the database of the catalog, so that it survives a stop."""

from typing import Final, TypeVar

from pydantic import BaseModel

from artstore.core.spec import Database, Transaction
from artstore.core.stores.rows import text

M = TypeVar("M", bound=BaseModel)

_TABLE: Final = "CREATE TABLE IF NOT EXISTS catalog_work (name TEXT PRIMARY KEY, state TEXT NOT NULL)"
_GET: Final = "SELECT state FROM catalog_work WHERE name = :name"
_PUT: Final = (
    "INSERT INTO catalog_work (name, state) VALUES (:name, :state)"
    " ON CONFLICT (name) DO UPDATE SET state = excluded.state"
)


async def load_work(database: Database, name: str, model: type[M]) -> M | None:
    """What was saved last; ``None`` when nothing was, or by a release that saved something else."""
    async with database.transaction() as transaction:
        await transaction.execute(_TABLE)
        row = await transaction.fetch_one(_GET, {"name": name})
    try:
        return None if row is None else model.model_validate_json(text(row, "state"))
    except ValueError:
        return None


async def save_work(transaction: Transaction, name: str, state: BaseModel) -> None:
    """Save it together with what it speaks of."""
    await transaction.execute(_PUT, {"name": name, "state": state.model_dump_json()})

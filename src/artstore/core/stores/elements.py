"""The registry of storage elements: where each one is and what it last said of itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from artstore.core.capacity import CapacityStatus
from artstore.core.modes import Mode
from artstore.core.spec import Database, NotFoundError, Parameter, Row
from artstore.core.stores.rows import Record, StoredTime, insert_sql, to_microseconds

ElementStatus = Literal["online", "offline"]


class ElementState(Record):
    """What an element says of itself. Uploads prefer a smaller ``priority``. Capacities are in bytes."""

    name: str
    mode: Mode
    priority: int = 100
    storage_type: str
    capacity_total: int | None = None
    capacity_free: int | None = None
    capacity_status: CapacityStatus = "ok"


class Element(ElementState):
    """One storage element, and where it is."""

    element_id: str
    url: str
    status: ElementStatus = "online"
    last_seen_at: StoredTime | None = None
    registered_at: StoredTime
    updated_at: StoredTime


_UPSERT: Final = (
    insert_sql("elements", Element)
    + " ON CONFLICT (element_id) DO UPDATE SET "
    + ", ".join(
        f"{column} = excluded.{column}"
        for column in Element.model_fields
        if column not in ("element_id", "registered_at")
    )
)

_UPDATE_STATE: Final = (
    "UPDATE elements SET "  # noqa: S608 - names of our own
    + "".join(f"{column} = :{column}, " for column in ElementState.model_fields)
    + "status = 'online', last_seen_at = :seen_at, updated_at = :seen_at WHERE element_id = :element_id"
)


class ElementsStore:
    """The storage elements of this cluster."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def upsert(self, element: Element) -> Element:
        """Register an element, or replace all that is known of it but when it was first registered."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_UPSERT, element.to_row())
            row = await transaction.fetch_one(*_by_id(element.element_id))
        return _element(row, element.element_id)

    async def get(self, element_id: str) -> Element:
        """One element.

        Raises:
            NotFoundError: no such element is registered.
        """
        return _element(await self._database.fetch_one(*_by_id(element_id)), element_id)

    async def list(self) -> Sequence[Element]:
        """Every element, in the order in which uploads prefer them."""
        rows = await self._database.fetch_all("SELECT * FROM elements ORDER BY priority, element_id")
        return [Element.from_row(row) for row in rows]

    async def delete(self, element_id: str) -> None:
        """Forget an element; its files stay where they are.

        Raises:
            NotFoundError: no such element is registered.
        """
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "DELETE FROM elements WHERE element_id = :element_id", {"element_id": element_id}
            )
        if changed == 0:
            raise _unknown(element_id)

    async def update_state(self, element_id: str, state: ElementState, *, seen_at: datetime) -> None:
        """Note what a reachable element says; it is online from now on.

        Raises:
            NotFoundError: no such element is registered.
        """
        await self._update(_UPDATE_STATE, element_id, {**state.to_row(), "seen_at": to_microseconds(seen_at)})

    async def mark_offline(self, element_id: str, *, at: datetime) -> None:
        """Note that an element does not answer.

        Raises:
            NotFoundError: no such element is registered.
        """
        await self._update(
            "UPDATE elements SET status = 'offline', updated_at = :at WHERE element_id = :element_id",
            element_id,
            {"at": to_microseconds(at)},
        )

    async def _update(self, sql: str, element_id: str, parameters: dict[str, Parameter]) -> None:
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(sql, {**parameters, "element_id": element_id})
        if changed == 0:
            raise _unknown(element_id)


def _by_id(element_id: str) -> tuple[str, dict[str, Parameter]]:
    return "SELECT * FROM elements WHERE element_id = :element_id", {"element_id": element_id}


def _element(row: Row | None, element_id: str) -> Element:
    if row is None:
        raise _unknown(element_id)
    return Element.from_row(row)


def _unknown(element_id: str) -> NotFoundError:
    return NotFoundError(f"no storage element {element_id} is registered")

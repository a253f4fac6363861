"""How a search is carried out: which rows to begin with, and the statements that follow from it.

A statement never sorts more rows than a window holds. The cheap order is that of ``row_id``, which
is the time of creation: the primary key, every index and the text index have it. Another order
comes from its own index, or is made of the newest matches.
"""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from artstore.core.search import SortOrder
from artstore.core.spec import Parameter, Reader
from artstore.core.stores.rows import integer
from artstore.core.stores.search_conditions import Condition

Statement = tuple[str, dict[str, Parameter]]

ALL_FILES: Final = Condition(test="TRUE", parameters={}, sources=("SELECT row_id FROM files",))

TEXT_TEST_COST: Final = 50
"""Tests of columns that take as long as asking the text index about one row (45 µs with FTS5)."""


@dataclass(frozen=True, slots=True)
class RowRange:
    """The time of creation as a range of ``row_id``: ``first`` included, ``last`` not."""

    first: int = 0
    last: int = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before: what it is sorted by, and its ``row_id``."""

    value: int | str
    row_id: int


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of the matches: after ``cursor`` where there is one."""

    limit: int
    offset: int
    order: SortOrder
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A condition whose rows are walked over, and the others, which each row is tested for."""

    driver: Condition
    tested: Sequence[Condition]
    created: RowRange
    window: int
    driver_size: int
    """Rows of the driver; one more than the window stands for any larger number."""

    @property
    def is_complete(self) -> bool:
        """Whether the newest rows of the driver that make the window are all it has."""
        return self.driver_size <= self.window

    @property
    def has_text(self) -> bool:
        """Whether the text index is asked: it has no order but that of creation."""
        return any(condition.is_text for condition in (self.driver, *self.tested))

    def newest(self, *, reach: int, order: SortOrder = "desc", cursor: Cursor | None = None) -> Statement:
        """The ``row_id``s of the first ``reach`` files that match, by time of creation.

        Of every source, so that each is read in its own order, and only as far as needed.
        """
        parts = [
            f"SELECT row_id FROM ({self._newest_of(source, order, cursor)}) AS source_{number}"
            for number, source in enumerate(self.driver.sources)
        ]
        parameters = {**self._parameters(), **_cursor_parameters(cursor), "reach": reach}
        return " UNION ".join(parts), parameters

    def newest_page(self, page: Page) -> Statement:
        """By time of creation."""
        newest, parameters = self.newest(reach=page.offset + page.limit, order=page.order, cursor=page.cursor)
        return (
            f"SELECT row_id, row_id AS sort_value FROM ({newest}) AS newest"
            f" ORDER BY row_id {_direction(page.order)[1]} LIMIT :limit OFFSET :offset",
            {**parameters, "limit": page.limit, "offset": page.offset},
        )

    def window_page(self, column: str, page: Page) -> Statement:
        """By ``column``, of the newest matches, as many as the window holds."""
        newest, parameters = self.newest(reach=self.window)
        matching = f"FROM ({newest}) AS newest CROSS JOIN files AS f WHERE f.row_id = newest.row_id"
        return _sorted_page(matching, parameters, column, page)

    def walk_page(self, column: str, page: Page) -> Statement:
        """By ``column``, walking over its index: quick when the matches are many."""
        matching = (
            "FROM files AS f WHERE f.row_id + 0 >= :created_first AND f.row_id + 0 < :created_last"
            + _and_tests([self.driver, *self.tested])
        )
        return _sorted_page(matching, self._parameters(), column, page)

    def candidates(self) -> Statement | None:
        """The matches that are ranked, but for the text; ``None`` where there is nothing but a text."""
        if self.driver.is_text:
            is_restricted = self.tested or self.created != RowRange()
            return self.newest(reach=self.window) if is_restricted else None
        columns = [condition for condition in self.tested if not condition.is_text]
        return replace(self, tested=columns).newest(reach=self.window)

    def count(self) -> Statement:
        """How many of the driver's newest rows, as many as the window holds, match."""
        newest, parameters = replace(self, tested=()).newest(reach=self.window)
        return (
            f"SELECT COUNT(*) AS total FROM ({newest}) AS newest CROSS JOIN files AS f"
            f" WHERE f.row_id = newest.row_id{_and_tests(self.tested)}",
            {**self._parameters(), **parameters},
        )

    def _newest_of(self, source: str, order: SortOrder, cursor: Cursor | None) -> str:
        sign, direction = _direction(order)
        matching = f"FROM ({source}) AS m"
        where = "m.row_id >= :created_first AND m.row_id < :created_last"
        if self.tested:
            matching += " CROSS JOIN files AS f"
            where += f" AND f.row_id = m.row_id{_and_tests(self.tested)}"
        if cursor is not None:
            where += f" AND m.row_id {sign} :cursor_row_id"
        return f"SELECT m.row_id {matching} WHERE {where} ORDER BY m.row_id {direction} LIMIT :reach"

    def _parameters(self) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {
            "created_first": self.created.first,
            "created_last": self.created.last,
        }
        for condition in (self.driver, *self.tested):
            parameters.update(condition.parameters)
        return parameters


async def make_plan(
    reader: Reader, conditions: Sequence[Condition], *, created: RowRange, window: int
) -> Plan:
    """Begin with the condition that leaves the least work. To know it, rows are counted, but not many."""
    candidates = [condition for condition in conditions if condition.sources] or [ALL_FILES]
    plans = [
        Plan(
            driver=candidate,
            tested=[condition for condition in conditions if condition is not candidate],
            created=created,
            window=window,
            driver_size=window + 1,
        )
        for candidate in candidates
    ]
    sizes = await _driver_sizes(reader, plans)
    usable = [
        replace(plan, driver_size=size)
        for plan, size in zip(plans, sizes, strict=True)
        if plan.driver.ordered or size <= window
    ]
    everything = replace(plans[0], driver=ALL_FILES, tested=conditions)
    return min(usable, key=_cost, default=everything)


async def _driver_sizes(reader: Reader, plans: Sequence[Plan]) -> list[int]:
    """Rows of each driver, counted up to one more than the window, in one statement."""
    counts: list[str] = []
    parameters: dict[str, Parameter] = {}
    for number, plan in enumerate(plans):
        rows, needed = replace(plan, tested=()).newest(reach=plan.window + 1)
        counts.append(f"(SELECT COUNT(*) FROM ({rows}) AS counted) AS size_{number}")
        parameters.update(needed)
    row = await reader.fetch_one(f"SELECT {', '.join(counts)}", parameters)
    return [0 if row is None else integer(row, f"size_{number}") for number in range(len(plans))]


def _cost(plan: Plan) -> int:
    tests_text = any(condition.is_text for condition in plan.tested)
    return plan.driver_size * TEXT_TEST_COST if tests_text else plan.driver_size


def _sorted_page(matching: str, parameters: Mapping[str, Parameter], column: str, page: Page) -> Statement:
    sign, direction = _direction(page.order)
    after = f" AND (f.{column}, f.row_id) {sign} (:cursor_value, :cursor_row_id)" if page.cursor else ""
    return (
        f"SELECT f.row_id, f.{column} AS sort_value {matching}{after}"
        f" ORDER BY f.{column} {direction}, f.row_id {direction} LIMIT :limit OFFSET :offset",
        {**parameters, **_cursor_parameters(page.cursor), "limit": page.limit, "offset": page.offset},
    )


def _and_tests(conditions: Sequence[Condition]) -> str:
    return "".join(f" AND {condition.test}" for condition in conditions)


def _direction(order: SortOrder) -> tuple[str, str]:
    return ("<", "DESC") if order == "desc" else (">", "ASC")


def _cursor_parameters(cursor: Cursor | None) -> dict[str, Parameter]:
    return {} if cursor is None else {"cursor_value": cursor.value, "cursor_row_id": cursor.row_id}

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
from artstore.core.stores.search_conditions import ROW_ID, Condition

Statement = tuple[str, dict[str, Parameter]]

ALL_FILES: Final = Condition(test="TRUE", parameters={}, sources=("SELECT row_id FROM files",))

MEMBERS_PER_TEST: Final = 10
"""Rows that can be listed in the time that it takes to read one row of ``files`` (about 1 µs)."""


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

    @property
    def cost(self) -> int:
        """Of walking over all rows, in tests of columns."""
        return self.driver_size * max((condition.test_cost for condition in self.tested), default=1)

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
        tests = _and_tests([self.driver, *self.tested], row_id="f.row_id")
        matching = f"FROM files AS f WHERE {_in_range('f.row_id + 0')}{tests}"
        return _sorted_page(matching, self._parameters(), column, page)

    def candidates(self) -> Statement | None:
        """The rows that are ranked, if the query matches them; ``None`` where there is but the query."""
        others = [condition for condition in (self.driver, *self.tested) if not condition.is_query]
        if not others:
            return None if self.created == RowRange() else self.newest(reach=self.window)
        few = self._few()
        if few is None:
            return self.newest(reach=self.window)
        tested = [condition for condition in others if condition is not few]
        return replace(self, driver=few, tested=tested).newest(reach=self.window)

    def _few(self) -> Condition | None:
        """A condition beside the query that few files meet: cheaper to begin with than the query."""
        if self.is_complete and not self.driver.is_query:
            return self.driver
        return next((each for each in self.tested if each.is_listed and not each.is_query), None)

    def count(self) -> Statement:
        """How many of the driver's newest rows, as many as the window holds, match."""
        newest, parameters = replace(self, tested=()).newest(reach=self.window)
        matching = _matching(newest, self.tested)
        return f"SELECT COUNT(*) AS total {matching}", {**self._parameters(), **parameters}

    def some(self, *, reach: int) -> Statement:
        """As many rows of the driver as that, in any order."""
        parts = [
            f"SELECT m.row_id {_matching(source, ())} AND {_in_range(self._row_id)} LIMIT :reach"
            for source in self.driver.sources
        ]
        union = " UNION ".join(f"SELECT row_id FROM ({part}) AS source" for part in parts)
        return union, {**self._parameters(), "reach": reach}

    @property
    def _row_id(self) -> str:
        """For the sake of rows in the order of ``row_id`` SQLite leaves the index of another order."""
        return "m.row_id" if self.driver.ordered else "m.row_id + 0"

    def _newest_of(self, source: str, order: SortOrder, cursor: Cursor | None) -> str:
        sign, direction = _direction(order)
        after = f" AND {self._row_id} {sign} :cursor_row_id" if cursor else ""
        return (
            f"SELECT m.row_id {_matching(source, self.tested)} AND {_in_range(self._row_id)}{after}"
            f" ORDER BY {self._row_id} {direction} LIMIT :reach"
        )

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
    everything = Plan(ALL_FILES, conditions, created, window, driver_size=window + 1)
    sizes = await _sizes(reader, candidates, everything)
    usable = [
        replace(everything, driver=driver, driver_size=size)
        for driver, size in sizes.items()
        if driver.ordered or size <= window
    ]
    plans = [replace(plan, tested=_tested(plan, conditions, sizes)) for plan in usable]
    return min(plans, key=lambda plan: plan.cost, default=everything)


async def _sizes(reader: Reader, candidates: Sequence[Condition], everything: Plan) -> dict[Condition, int]:
    """Rows of each condition, counted up to one more than the window, in one statement."""
    counts: list[str] = []
    parameters: dict[str, Parameter] = {}
    for number, candidate in enumerate(candidates):
        plan = replace(everything, driver=candidate, tested=())
        rows, needed = plan.some(reach=plan.window + 1)
        counts.append(f"(SELECT COUNT(*) FROM ({rows}) AS counted) AS size_{number}")
        parameters.update(needed)
    row = await reader.fetch_one(f"SELECT {', '.join(counts)}", parameters)
    return {
        candidate: 0 if row is None else integer(row, f"size_{number}")
        for number, candidate in enumerate(candidates)
    }


def _tested(plan: Plan, conditions: Sequence[Condition], sizes: Mapping[Condition, int]) -> list[Condition]:
    """The conditions but for the driver; those that few files meet by a list of these files."""
    return [
        _by_list(condition) if _is_listed(condition, sizes.get(condition), plan) else condition
        for condition in conditions
        if condition is not plan.driver
    ]


def _is_listed(condition: Condition, size: int | None, plan: Plan) -> bool:
    """Whether to list all files of a condition is quicker than to test each row of the driver."""
    worth = plan.driver_size * condition.test_cost * MEMBERS_PER_TEST
    return size is not None and size <= min(plan.window, worth)


def _by_list(condition: Condition) -> Condition:
    return replace(
        condition,
        test=f"{ROW_ID} + 0 IN ({' UNION ALL '.join(condition.sources)})",
        needs_columns=False,
        is_listed=True,
        test_cost=1,
    )


def _matching(source: str, tested: Sequence[Condition]) -> str:
    """``FROM`` and ``WHERE`` of the rows ``m`` of ``source`` that pass."""
    tests = _and_tests(tested, row_id="m.row_id")
    if any(condition.needs_columns for condition in tested):
        return f"FROM ({source}) AS m CROSS JOIN files AS f WHERE f.row_id = m.row_id{tests}"
    return f"FROM ({source}) AS m WHERE TRUE{tests}"


def _in_range(row_id: str) -> str:
    return f"{row_id} >= :created_first AND {row_id} < :created_last"


def _sorted_page(matching: str, parameters: Mapping[str, Parameter], column: str, page: Page) -> Statement:
    sign, direction = _direction(page.order)
    after = f" AND (f.{column}, f.row_id) {sign} (:cursor_value, :cursor_row_id)" if page.cursor else ""
    return (
        f"SELECT f.row_id, f.{column} AS sort_value {matching}{after}"
        f" ORDER BY f.{column} {direction}, f.row_id {direction} LIMIT :limit OFFSET :offset",
        {**parameters, **_cursor_parameters(page.cursor), "limit": page.limit, "offset": page.offset},
    )


def _and_tests(conditions: Sequence[Condition], *, row_id: str) -> str:
    return "".join(f" AND {condition.test_of(row_id)}" for condition in conditions)


def _direction(order: SortOrder) -> tuple[str, str]:
    return ("<", "DESC") if order == "desc" else (">", "ASC")


def _cursor_parameters(cursor: Cursor | None) -> dict[str, Parameter]:
    return {} if cursor is None else {"cursor_value": cursor.value, "cursor_row_id": cursor.row_id}

"""Search over the index of files, in bounded time however many files match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple
from uuid import UUID

from artstore.core.ids import row_id
from artstore.core.search import (
    SEARCH_WINDOW,
    JournalPosition,
    SearchCriteria,
    SearchPage,
    SortKey,
    TotalRelation,
)
from artstore.core.spec import Database, InvalidRequestError, Row, SearchIndex
from artstore.core.stores import search_cursor
from artstore.core.stores.index_positions import list_positions
from artstore.core.stores.rows import integer
from artstore.core.stores.search_conditions import conditions_of
from artstore.core.stores.search_hits import read_hits
from artstore.core.stores.search_plan import Cursor, Page, Plan, RowRange, Statement, make_plan

_SORT_COLUMNS: Final[Mapping[SortKey, str]] = {
    "updated_at": "updated_at",
    "file_size": "file_size",
    "filename": "filename_folded",
}
_NO_BITS: Final = UUID(int=0)


class _Total(NamedTuple):
    number: int
    relation: TotalRelation


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of one page; ``next_cursor`` is where the one after it begins, if there is any."""

    row_ids: Sequence[int]
    total: _Total
    next_cursor: Cursor | None = None
    scores: Mapping[int, float] = field(default_factory=dict[int, float])


_NOTHING: Final = _Found(row_ids=(), total=_Total(0, "eq"))


class SearchStore:
    """Finds files.

    By ``created_at`` every match is reached, however many there are. When more than ``window`` match a
    text, other orders are of those that were created last.
    """

    def __init__(self, database: Database, *, window: int = SEARCH_WINDOW) -> None:
        self._database = database
        self._window = window

    async def search(self, criteria: SearchCriteria) -> SearchPage:
        """One page of what matches. Waiting for ``at_least`` is up to the caller.

        Raises:
            InvalidRequestError: ``offset`` or ``after`` cannot be used.
            UnsupportedError: the database has no text index.
        """
        self._check_offset(criteria)
        positions = await self._positions()  # before the search, so that it covers what they say
        found = await self._find(criteria)
        items = await read_hits(
            self._database,
            criteria,
            found.row_ids,
            scores=found.scores,
            search_index=self._database.search_index,
        )
        return SearchPage(
            items=items,
            total=found.total.number,
            total_relation=found.total.relation,
            limit=criteria.limit,
            offset=criteria.offset,
            has_more=found.next_cursor is not None,
            next_after=search_cursor.encode(criteria, found.next_cursor) if found.next_cursor else None,
            index_position=positions,
        )

    def _check_offset(self, criteria: SearchCriteria) -> None:
        if criteria.offset > self._window:
            raise InvalidRequestError(
                f"offset reaches {self._window} files at most: to go further, send next_after as after"
            )

    async def _positions(self) -> list[str]:
        positions = await list_positions(self._database)
        return [str(JournalPosition(position.element_id, position.sequence)) for position in positions]

    async def _find(self, criteria: SearchCriteria) -> _Found:
        cursor = search_cursor.decode(criteria)
        search_index = self._database.search_index
        conditions = conditions_of(criteria, search_index)
        if conditions is None:
            return _NOTHING
        plan = await make_plan(self._database, conditions, created=_created(criteria), window=self._window)
        if plan.driver_size == 0:
            return _NOTHING
        if criteria.sort_key == "relevance" and search_index is not None:
            return await self._find_best(criteria, plan, cursor, search_index)
        return await self._find_in_order(criteria, plan, cursor)

    async def _find_in_order(self, criteria: SearchCriteria, plan: Plan, cursor: Cursor | None) -> _Found:
        rows = await self._database.fetch_all(*_page_statement(criteria, plan, cursor))
        page = rows[: criteria.limit]
        has_more = len(rows) > len(page)
        reached = criteria.offset + len(rows)
        if cursor is None and page and not has_more and _is_exhaustive(criteria, plan):
            total = _Total(reached, "eq")
        else:
            total = await self._count(plan, at_least=reached if page else 0)
        return _Found(
            row_ids=[integer(row, "row_id") for row in page],
            total=total,
            next_cursor=_cursor_at(page[-1]) if has_more else None,
        )

    async def _find_best(
        self, criteria: SearchCriteria, plan: Plan, cursor: Cursor | None, search_index: SearchIndex
    ) -> _Found:
        """The best matches of a text first. A cursor is an offset here: scores are not comparable."""
        offset = criteria.offset if cursor is None else int(cursor.value)
        best = await search_index.rank(
            self._database,
            criteria.text,
            candidates=self._window,
            limit=criteria.limit + 1,
            offset=offset,
            within=plan.candidates(),
        )
        page = best[: criteria.limit]
        return _Found(
            row_ids=[match.row_id for match in page],
            total=await self._count(plan, at_least=offset + len(best) if best else 0),
            next_cursor=Cursor(offset + len(page), 0) if len(best) > len(page) else None,
            scores={match.row_id: match.score for match in page},
        )

    async def _count(self, plan: Plan, *, at_least: int) -> _Total:
        """Exact when the rows of the plan's driver are few; a lower bound otherwise."""
        number = plan.driver_size
        if plan.tested:
            row = await self._database.fetch_one(*plan.count())
            number = 0 if row is None else integer(row, "total")
        number = max(min(number, self._window), at_least)
        return _Total(number, "eq" if plan.is_complete else "gte")


def _created(criteria: SearchCriteria) -> RowRange:
    """A ``row_id`` begins with the time of creation."""
    created = RowRange()
    if criteria.created_after is not None:
        created = replace(created, first=row_id(criteria.created_after, _NO_BITS))
    if criteria.created_before is not None:
        created = replace(created, last=row_id(criteria.created_before, _NO_BITS))
    return created


def _page_statement(criteria: SearchCriteria, plan: Plan, cursor: Cursor | None) -> Statement:
    """One row more than the page, which tells whether there are more."""
    page = Page(limit=criteria.limit + 1, offset=criteria.offset, order=criteria.sort_order, cursor=cursor)
    column = _SORT_COLUMNS.get(criteria.sort_key)
    if column is None:
        return plan.newest_page(page)
    if plan.is_complete or plan.has_text:
        return plan.window_page(column, page)
    return plan.walk_page(column, page)


def _is_exhaustive(criteria: SearchCriteria, plan: Plan) -> bool:
    """Whether the pages end only where the matches do, not where the window does."""
    return plan.is_complete or not plan.has_text or criteria.sort_key == "created_at"


def _cursor_at(row: Row) -> Cursor:
    value = row["sort_value"]
    if not isinstance(value, int | str):
        raise TypeError("files are sorted by numbers and text")
    return Cursor(value, integer(row, "row_id"))

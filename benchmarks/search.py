"""Searches over HTTP in a large index, against bare FTS5 queries on the same database file."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from artstore.core.logging import configure_logging, get_logger
from artstore.core.spec import TextMode
from artstore.core.stores.files import FilesStore
from artstore.plugins.metadata_sqlite.backend import open_database
from artstore.plugins.metadata_sqlite.search import SqliteSearchIndex
from benchmarks.client import Load, Outcome, Request, generate, request_head
from benchmarks.corpus import RARE_WORD, journal_entries
from benchmarks.deployment import Deployment, running
from benchmarks.processes import in_child
from benchmarks.tables import console, print_table
from benchmarks.workplace import Workplace

PAGE: Final = 20
BATCH: Final = 1000
ELEMENT: Final = "se-benchmark"
"""An element that nobody registered: admin's indexer leaves its files alone."""

_BY_RANK: Final = "SELECT rowid FROM text_stems WHERE text_stems MATCH ? ORDER BY rank LIMIT 20 OFFSET ?"
_NEWEST: Final = "SELECT rowid FROM text_stems WHERE text_stems MATCH ? ORDER BY rowid DESC LIMIT 20 OFFSET ?"
_PARTS: Final = "SELECT rowid FROM text_parts WHERE text_parts MATCH ? ORDER BY rowid DESC LIMIT 20 OFFSET ?"


@dataclass(frozen=True, slots=True)
class Search:
    """One search, and the bare statement whose one parameter before the offset is its FTS5 expression."""

    name: str
    criteria: Mapping[str, Any]
    bare: str = _BY_RANK

    @property
    def parameters(self) -> tuple[str, int]:
        """What the bare statement is run with."""
        mode: TextMode = "partial" if self.criteria.get("mode") == "partial" else "fulltext"
        matching = SqliteSearchIndex().match_sql(str(self.criteria["query"]), mode)
        assert matching is not None
        return str(matching[1]["text_query"]), int(self.criteria.get("offset", 0))


SEARCHES: Final = (
    Search("rare word", {"query": RARE_WORD}),
    Search("common word", {"query": "договор"}),
    Search("common word, newest first", {"query": "договор", "sort_by": "created_at"}, _NEWEST),
    Search("two words", {"query": "annual report"}),
    Search("part of a word", {"query": "фактур", "mode": "partial"}, _PARTS),
    Search(
        "common word, tag, user, type",
        {
            "query": "договоры",
            "tags": ["архив"],
            "username": "accounting",
            "content_type": "application/pdf",
        },
    ),
    Search("common word, page 250", {"query": "договор", "offset": 5000}),
)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that everything took: an HTTP request that does nothing, each search, each bare query."""

    floor: list[float] = field(default_factory=list[float])
    searches: list[list[float]] = field(default_factory=lambda: [[] for _ in SEARCHES])
    bare: list[list[float]] = field(default_factory=lambda: [[] for _ in SEARCHES])

    def add(self, outcomes: Sequence[Outcome], bare: Sequence[Sequence[float]]) -> None:
        """One more round."""
        self.floor.extend(outcomes[0].latencies)
        for known, outcome in zip(self.searches, outcomes[1:], strict=True):
            known.extend(outcome.latencies)
        for known, latencies in zip(self.bare, bare, strict=True):
            known.extend(latencies)


def run(place: Workplace) -> None:
    data, count = place.directory / "data", place.scale.indexed_files
    deployment = Deployment(data)
    with running(deployment):
        pass  # admin makes the database
    with console.status("search: filling the index"):
        seconds = in_child(fill, data / "index.db", count)
    times = Times()
    with running(deployment) as roles, console.status("search") as status:
        loads = _loads(roles, count=place.scale.searches)
        for repeat in range(1, place.scale.repeats + 1):
            status.update(f"search, {repeat} of {place.scale.repeats}")
            times.add(
                in_child(generate_all, loads),
                in_child(query_bare, data / "index.db", _statements(), place.scale.searches),
            )
        totals = [_total(roles, each) for each in SEARCHES]
    _print(f"Search among {count:,} files (indexed at {count / seconds:,.0f} files/s)", times, totals)


def fill(path: Path, count: int) -> float:
    """Index ``count`` invented files as the indexer does; the seconds it took."""

    async def work() -> None:
        entries = journal_entries(count)
        async with open_database(
            path, synchronous="normal", readers=1, busy_timeout=10, logger=get_logger("benchmarks")
        ) as database:
            files = FilesStore(database)
            while batch := list(islice(entries, BATCH)):
                await files.apply(ELEMENT, "benchmark", batch, position=batch[-1].sequence)

    configure_logging(level="warning")
    started = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - started


def generate_all(loads: Sequence[Load]) -> list[Outcome]:
    """What becomes of each load, one after the other."""
    return [generate(load) for load in loads]


def query_bare(
    path: Path, statements: Sequence[tuple[str, tuple[str, int]]], count: int
) -> list[Sequence[float]]:
    """Seconds that each statement takes, ``count`` times, in this process."""
    with closing(sqlite3.connect(path)) as connection:
        return [_timed(connection, sql, parameters, count) for sql, parameters in statements]


def _timed(
    connection: sqlite3.Connection, sql: str, parameters: tuple[str, int], count: int
) -> Sequence[float]:
    latencies: list[float] = []
    for _ in range(count + 1):
        started = time.perf_counter()
        connection.execute(sql, parameters).fetchall()
        latencies.append(time.perf_counter() - started)
    return latencies[1:]  # the first one warms up, as it does over HTTP


def _loads(roles: Deployment, *, count: int) -> list[Load]:
    token = roles.token()
    port = roles.port("query")
    floor = Load(port, [Request(request_head("GET", "/health/live"))], 1, (), count=count)
    return [floor, *(Load(port, [_request(each, token)], 1, (), count=count) for each in SEARCHES)]


def _request(search: Search, token: str) -> Request:
    body = json.dumps({**search.criteria, "limit": PAGE}).encode()
    head = request_head(
        "POST", "/api/v1/search", token=token, length=len(body), Content_Type="application/json"
    )
    return Request(head, body=body)


def _statements() -> list[tuple[str, tuple[str, int]]]:
    return [(each.bare, each.parameters) for each in SEARCHES]


def _total(roles: Deployment, search: Search) -> str:
    answer = roles.ask(
        "query",
        "POST",
        "/api/v1/search",
        body=json.dumps({**search.criteria, "limit": PAGE}).encode(),
        headers={"Authorization": f"Bearer {roles.token()}", "Content-Type": "application/json"},
    )
    return f"{answer['total']:,}" if answer["total_relation"] == "eq" else f"> {answer['total']:,}"


def _print(title: str, times: Times, totals: Sequence[str]) -> None:
    rows = [("GET /health/live, the floor of HTTP", "", *_percentiles(times.floor), "", "", "")]
    for search, total, ours, bare in zip(SEARCHES, totals, times.searches, times.bare, strict=True):
        ratio = f"{median(ours) / median(bare):.1f}"
        rows.append((search.name, total, *_percentiles(ours), *_percentiles(bare), ratio))
    columns = ("", "matches", "p50", "p95", "bare FTS5 p50", "p95", "p50 / bare p50")
    print_table(f"{title}, ms, 1 connection", columns, rows)


def _percentiles(latencies: Sequence[float]) -> tuple[str, str]:
    cuts = quantiles(latencies, n=20)
    return f"{cuts[9] * 1000:.2f}", f"{cuts[18] * 1000:.2f}"

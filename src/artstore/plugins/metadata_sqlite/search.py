"""Full-text and substring search with FTS5.

Stems are made here, in the writer thread through an SQL function; FTS5 only splits them at spaces.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from artstore.core.spec import (
    Parameters,
    Reader,
    SearchIndex,
    TextDocument,
    TextMatch,
    TextMode,
    Transaction,
)
from artstore.plugins.metadata_sqlite.highlight import highlight
from artstore.plugins.metadata_sqlite.words import folded, index_stems, query_stems

SHORT_QUERY_DOCUMENTS: Final = 10_000
"""A substring of one or two characters has no index: it is looked for in this many newest documents."""

_TRIGRAM: Final = 3

# The ascii tokenizer takes every letter beyond ASCII for part of a word: stems come back as they went in.
TABLES: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS text_stems USING fts5 (name, text, tokenize = 'ascii')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS text_parts"
    " USING fts5 (name, text, tokenize = 'trigram case_sensitive 1', columnsize = 0)",
)
_PUT: Final = (
    "INSERT OR REPLACE INTO text_stems (rowid, name, text)"
    " VALUES (:row_id, artstore_stems(:name), artstore_stems(:text))",
    "INSERT OR REPLACE INTO text_parts (rowid, name, text)"
    " VALUES (:row_id, artstore_folded(:name), artstore_folded(:text))",
)
_DELETE: Final = (
    "DELETE FROM text_stems WHERE rowid = :row_id",
    "DELETE FROM text_parts WHERE rowid = :row_id",
)
_STEMS: Final = "SELECT rowid AS row_id FROM text_stems WHERE text_stems MATCH :text_query"
_PARTS: Final = "SELECT rowid AS row_id FROM text_parts WHERE text_parts MATCH :text_query"
_SHORT_PARTS: Final = (
    "SELECT rowid AS row_id FROM text_parts WHERE rowid >= coalesce("
    "(SELECT rowid FROM text_parts ORDER BY rowid DESC LIMIT 1 OFFSET :text_documents), 0)"
    " AND (instr(name, :text_query) OR instr(text, :text_query))"
)
# The weights are those of the columns: a word counts four times as much in the name as in the text.
_SCORES: Final = (
    "SELECT rowid AS row_id, -bm25(text_stems, 4.0, 1.0) AS score"
    " FROM text_stems WHERE text_stems MATCH :text_query"
)


def add_functions(connection: sqlite3.Connection) -> None:
    """Give the writing connection the functions that :meth:`SqliteSearchIndex.put` calls."""
    connection.create_function("artstore_stems", 1, index_stems, deterministic=True)
    connection.create_function("artstore_folded", 1, folded, deterministic=True)


class SqliteSearchIndex(SearchIndex):
    """Two FTS5 tables: stems for words, trigrams for substrings.

    Both keep their rows in the order of ``row_id``: the newest matches are read without sorting.
    """

    async def put(self, transaction: Transaction, documents: Iterable[TextDocument]) -> None:
        batch: list[Parameters] = [
            {"row_id": document.row_id, "name": document.name, "text": document.text}
            for document in documents
        ]
        for sql in _PUT:
            await transaction.executemany(sql, batch)

    async def delete(self, transaction: Transaction, row_ids: Iterable[int]) -> None:
        batch = [{"row_id": row_id} for row_id in row_ids]
        for sql in _DELETE:
            await transaction.executemany(sql, batch)

    def match_sql(self, query: str, mode: TextMode) -> tuple[str, Parameters] | None:
        if mode == "fulltext":
            expression = _fulltext_expression(query)
            return (_STEMS, {"text_query": expression}) if expression else None
        part = folded(_encodable(query))
        if not part:
            return None
        if len(part) < _TRIGRAM:
            return _SHORT_PARTS, {"text_query": part, "text_documents": SHORT_QUERY_DOCUMENTS - 1}
        return _PARTS, {"text_query": _quoted(part)}

    async def rank(
        self,
        reader: Reader,
        query: str,
        *,
        candidates: int,
        limit: int,
        offset: int,
        within: tuple[str, Parameters] | None = None,
    ) -> Sequence[TextMatch]:
        expression = _fulltext_expression(query)
        if not expression:
            return []
        rows = await reader.fetch_all(
            _rank_sql(within=None if within is None else within[0]),
            {
                **({} if within is None else within[1]),
                "text_query": expression,
                "text_candidates": candidates,
                "text_limit": limit,
                "text_offset": offset,
            },
        )
        return [TextMatch(row_id=int(row["row_id"] or 0), score=float(row["score"] or 0.0)) for row in rows]

    def highlight(self, query: str, text: str) -> str | None:
        return highlight(query, text)


def _rank_sql(*, within: str | None) -> str:
    # The plus sign keeps SQLite from asking FTS5 anew for every row within.
    scores = _SCORES if within is None else f"{_SCORES} AND +rowid IN ({within})"
    return (
        f"SELECT row_id, score FROM ({scores} ORDER BY rowid DESC LIMIT :text_candidates)"  # noqa: S608
        " ORDER BY score DESC, row_id DESC LIMIT :text_limit OFFSET :text_offset"
    )


def _fulltext_expression(query: str) -> str:
    """Every stem of ``query`` quoted, so that none is an operator of FTS5; side by side means AND."""
    return " ".join(_quoted(stem) for stem in query_stems(query))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _encodable(text: str) -> str:
    """``text`` without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "ignore").decode()

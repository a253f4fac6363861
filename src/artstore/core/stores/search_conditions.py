"""From the criteria of a search to SQL: each condition as rows to begin with, and as a test of a row."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from artstore.core.search import SearchCriteria
from artstore.core.spec import Parameter, SearchIndex, UnsupportedError
from artstore.core.stores.comparison import (
    attribute_value,
    bounded,
    digest,
    fold,
    fold_filename,
    media_type,
)

MIN_INDEXED_PART: Final = 3
"""Characters of a part of a name from which the text index is asked first. Shorter ones are common."""

ROW_ID: Final = "<row_id>"
"""Stands in a test for what the ``row_id`` is called."""

TEXT_TEST_COST: Final = 50
"""Tests of columns that take as long as asking the text index about one row (45 µs with FTS5)."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One thing that must hold of a file.

    ``sources`` are statements that yield the ``row_id``s of the files for which it holds, all of them
    together; none when no index helps. Where they are ``ordered``, each yields its newest rows first at
    no cost. ``test`` is the same as an expression on the row ``f`` of ``files``, or, unless it
    ``needs_columns``, on a ``row_id`` that :meth:`test_of` names. It is written so that no index can
    serve it: which index to walk over is for the plan to decide, and an engine without statistics
    decides badly.
    """

    test: str
    parameters: Mapping[str, Parameter]
    sources: tuple[str, ...] = ()
    ordered: bool = True
    needs_columns: bool = True
    is_text: bool = False
    is_query: bool = False
    is_listed: bool = False
    test_cost: int = 1

    def test_of(self, row_id: str) -> str:
        """The test of the row whose ``row_id`` is called so."""
        return self.test.replace(ROW_ID, row_id)


def conditions_of(criteria: SearchCriteria, search_index: SearchIndex | None) -> list[Condition] | None:
    """Every condition but the time of creation; ``None`` when the query has nothing to look for.

    Raises:
        UnsupportedError: the search needs a text index and the database has none.
    """
    conditions = [*_columns(criteria), *_sizes(criteria), *_tags(criteria), *_attributes(criteria)]
    if criteria.text and criteria.mode == "exact":
        conditions.append(_exact(criteria.text))
    elif criteria.text and criteria.mode != "exact":
        match = _require(search_index).match_sql(criteria.text, criteria.mode)
        if match is None:
            return None
        conditions.append(replace(_text(*match), is_query=True))
    conditions += _filename(criteria, search_index)
    return conditions


def _require(search_index: SearchIndex | None) -> SearchIndex:
    if search_index is None:
        raise UnsupportedError("the database has no text index: search in mode exact")
    return search_index


def _columns(criteria: SearchCriteria) -> Iterator[Condition]:
    if criteria.file_extension is not None:
        yield _equal("file_extension", fold(criteria.file_extension.lstrip(".")))
    if criteria.username is not None:
        yield _equal("created_by_username", bounded(criteria.username))
    if criteria.retention_policy is not None:
        yield _equal("retention_policy", criteria.retention_policy)
    if criteria.content_type not in (None, "*/*"):
        yield _content_type(media_type(criteria.content_type))


def _equal(column: str, value: str) -> Condition:
    return Condition(
        test=f"f.{column} || '' = :{column}",
        parameters={column: value},
        sources=(f"SELECT row_id FROM files WHERE {column} = :{column}",),
    )


def _content_type(pattern: str) -> Condition:
    if not pattern.endswith("/*"):
        return _equal("content_type", pattern)
    return Condition(
        test="f.content_type || '' >= :content_type AND f.content_type || '' < :content_type_end",
        # "0" is what follows "/".
        parameters={"content_type": pattern[:-1], "content_type_end": pattern[:-2] + "0"},
        sources=(
            "SELECT row_id FROM files"
            " WHERE content_type >= :content_type AND content_type < :content_type_end",
        ),
        ordered=False,
    )


def _sizes(criteria: SearchCriteria) -> Iterator[Condition]:
    bounds = {"min_size": (">=", criteria.min_size), "max_size": ("<=", criteria.max_size)}
    given = {name: (sign, value) for name, (sign, value) in bounds.items() if value is not None}
    if not given:
        return
    # By size, the index to walk over is the one that serves the test, too.
    column = "f.file_size" if criteria.sort_key == "file_size" else "f.file_size + 0"
    yield Condition(
        test=" AND ".join(f"{column} {sign} :{name}" for name, (sign, _) in given.items()),
        parameters={name: value for name, (_, value) in given.items()},
        sources=(
            "SELECT row_id FROM files WHERE "
            + " AND ".join(f"file_size {sign} :{name}" for name, (sign, _) in given.items()),
        ),
        ordered=False,
    )


def _tags(criteria: SearchCriteria) -> Iterator[Condition]:
    for number, tag in enumerate(sorted(set(map(fold, criteria.tags)))):
        yield _value("file_tags", {"tag": tag}, number)


def _attributes(criteria: SearchCriteria) -> Iterator[Condition]:
    for number, (name, value) in enumerate(sorted(criteria.attributes.items())):
        yield _value("file_attributes", {"name": bounded(name), "value": attribute_value(value)}, number)


def _value(table: str, columns: Mapping[str, str], number: int) -> Condition:
    where = " AND ".join(f"{column} = :{column}_{number}" for column in columns)
    return Condition(
        test=f"EXISTS (SELECT 1 FROM {table} WHERE row_id = {ROW_ID} AND {where})",
        parameters={f"{column}_{number}": value for column, value in columns.items()},
        sources=(f"SELECT row_id FROM {table} WHERE {where}",),
        needs_columns=False,
    )


def _exact(query: str) -> Condition:
    """The query is all of a value: each kind of value has an index of its own."""
    values: dict[str, Parameter] = {
        "filename_folded": fold_filename(query),
        "description_digest": digest(fold(query)),
    }
    if _SHA256.fullmatch(query.lower()):
        values["checksum"] = query.lower()
    if (file_id := _file_id(query)) is not None:
        values["file_id"] = file_id
    tests = [f"f.{column} || '' = :exact_{column}" for column in values]
    tests.append(f"EXISTS (SELECT 1 FROM file_tags WHERE row_id = {ROW_ID} AND tag = :exact_tag)")
    return Condition(
        test=f"({' OR '.join(tests)})",
        parameters={f"exact_{column}": value for column, value in {**values, "tag": fold(query)}.items()},
        sources=(
            *(f"SELECT row_id FROM files WHERE {column} = :exact_{column}" for column in values),
            "SELECT row_id FROM file_tags WHERE tag = :exact_tag",
        ),
    )


def _file_id(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _text(match: str, parameters: Mapping[str, Parameter]) -> Condition:
    return Condition(
        test=f"EXISTS (SELECT 1 FROM ({match}) AS matching WHERE matching.row_id = {ROW_ID})",
        parameters=parameters,
        sources=(match,),
        needs_columns=False,
        is_text=True,
        test_cost=TEXT_TEST_COST,
    )


def _filename(criteria: SearchCriteria, search_index: SearchIndex | None) -> Iterator[Condition]:
    """A part of the name. Documents that contain it anywhere are where to begin, if there is an index."""
    if criteria.filename is None:
        return
    part = fold_filename(criteria.filename)
    yield Condition(
        test="f.filename_folded LIKE :filename ESCAPE '!'", parameters={"filename": f"%{_escaped(part)}%"}
    )
    if search_index is not None and len(part.strip()) >= MIN_INDEXED_PART:
        match = search_index.match_sql(part, "partial")
        if match is not None:
            yield _text(*_renamed(*match))


def _renamed(match: str, parameters: Mapping[str, Parameter]) -> tuple[str, dict[str, Parameter]]:
    """The same with other names of parameters, since a query by text has those of the index itself."""
    return match.replace(":text_", ":name_text_"), {
        f"name_{name}": value for name, value in parameters.items()
    }


def _escaped(text: str) -> str:
    return re.sub(r"[!%_]", r"!\g<0>", text)

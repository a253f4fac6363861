"""Whatever is handed over, repeated or comes late: the index ends as the journal does."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artstore.core.journal import JournalEntry
from artstore.core.search import SearchCriteria
from artstore.core.spec import Database
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite
from tests.core.stores.entries import ELEMENT, EPOCH, entry, file_id

FILES = 4
WORDS = ("альфа", "бета", "гамма")


@dataclass(frozen=True)
class Step:
    """One thing that reaches the index: a slice of the journal, or entries that are handed over."""

    kind: Literal["read", "reread", "hand over"]
    first: int
    count: int


@dataclass(frozen=True)
class History:
    """What an element did, and how the index hears of it."""

    journal: list[JournalEntry]
    last: dict[int, JournalEntry]
    steps: list[Step]


@st.composite
def histories(draw: st.DrawFn) -> History:
    journal: list[JournalEntry] = []
    last: dict[int, JournalEntry] = {}
    for number in draw(st.lists(st.integers(1, FILES), min_size=1, max_size=12)):
        before = last.get(number)
        if before is not None and before.attributes is None:
            continue  # an id is never used again
        is_deletion = before is not None and draw(st.booleans())
        version = 1 if before is None or before.attributes is None else before.attributes.version + 1
        words = draw(st.lists(st.sampled_from(WORDS), max_size=2))
        said = entry(
            number,
            sequence=len(journal) + 1,
            operation="delete" if is_deletion else "create" if before is None else "update",
            version=version,
            tags=words,
            custom_attributes={"words": list(words)},
            description=f"слово{number} " + " ".join(words),
        )
        journal.append(said)
        last[number] = said
    step = st.builds(
        Step,
        kind=st.sampled_from(["read", "reread", "hand over"]),
        first=st.integers(0, len(journal) - 1),
        count=st.integers(1, 4),
    )
    return History(journal, last, draw(st.lists(step, max_size=12)))


async def hear(files: FilesStore, history: History) -> None:
    """Take every step; then read the journal to its end."""
    read = 0
    for step in [*history.steps, Step("read", 0, len(history.journal))]:
        if step.kind == "hand over":
            said = history.journal[step.first : step.first + step.count]
            await files.apply(ELEMENT, EPOCH, said[::-1])
            continue
        first = read if step.kind == "read" else min(step.first, read)
        said = history.journal[first : first + step.count]
        if said:
            read = max(read, first + len(said))
            await files.apply(ELEMENT, EPOCH, now(said, history), position=said[-1].sequence)


def now(said: list[JournalEntry], history: History) -> list[JournalEntry]:
    """A journal gives the sidecars as they are when it is read."""
    last = {each.file_id: each.attributes for each in history.last.values()}
    return [each.model_copy(update={"attributes": last[each.file_id]}) for each in said]


async def state(database: Database) -> dict[str, Any]:
    """Everything the index knows, and what is found by it."""
    rows = await database.fetch_all(
        "SELECT f.file_id, s.attributes,"
        " (SELECT group_concat(tag) FROM file_tags t WHERE t.row_id = f.row_id) AS tags"
        " FROM files f JOIN file_sidecars s ON s.row_id = f.row_id"
    )
    searches = SearchStore(database)
    found = {
        word: {
            hit.file_id
            for mode in ("fulltext", "partial")
            for hit in (await searches.search(SearchCriteria(query=word, mode=mode))).items
        }
        for word in (*WORDS, *(f"слово{number}" for number in range(1, FILES + 1)))
    }
    return {"rows": [dict(row) for row in rows], "found": found}


def expected_found(history: History) -> dict[str, Any]:
    living = {number: said.attributes for number, said in history.last.items() if said.attributes}
    by_word = {word: {file_id(n) for n, a in living.items() if word in a.tags} for word in WORDS}
    by_name = {
        f"слово{number}": {file_id(number)} & {file_id(n) for n in living} for number in range(1, FILES + 1)
    }
    return by_word | by_name


@given(history=histories())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_index_ends_as_the_journal_does(migrated: Path, history: History) -> None:
    with TemporaryDirectory() as directory:
        path = Path(shutil.copy(migrated, Path(directory) / "artstore.db"))
        config = SqliteConfig(path=path, synchronous="normal", readers=1)
        async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
            await hear(FilesStore(database), history)
            after_all = await state(database)

    assert {row["file_id"] for row in after_all["rows"]} == {
        str(file_id(number)) for number, said in history.last.items() if said.attributes
    }
    assert after_all["found"] == expected_found(history)
    for row in after_all["rows"]:
        number = next(n for n in history.last if str(file_id(n)) == row["file_id"])
        sidecar = history.last[number].attributes
        assert sidecar is not None
        assert row["attributes"] == sidecar.to_json().decode()
        assert set((row["tags"] or "").split(",")) - {""} == set(sidecar.tags)

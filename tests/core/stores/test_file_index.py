"""The index of files repeats what journals say, in whatever order and however often it hears it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from artstore.core.attributes import Retention
from artstore.core.journal import JournalEntry, UnreadEntry
from artstore.core.search import JournalPosition, SearchCriteria
from artstore.core.spec import (
    Database,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamError,
)
from artstore.core.stores.files import FilesStore
from artstore.core.stores.leases import LeasesStore
from artstore.core.stores.search import SearchStore
from tests.core.stores.entries import ELEMENT, EPOCH, attributes, created_at, entry, file_id


async def ids(files: FilesStore) -> list[UUID]:
    return [file.attributes.file_id for file in (await files.list()).items]


async def found(searches: SearchStore, **criteria: Any) -> list[UUID]:
    page = await searches.search(SearchCriteria.model_validate(criteria))
    return [hit.file_id for hit in page.items]


async def rows_of(database: Database, table: str) -> int:
    row = await database.fetch_one(f"SELECT COUNT(*) AS number FROM {table}")
    assert row is not None
    return int(row["number"] or 0)


async def test_a_file_comes_back_as_its_element_described_it(files: FilesStore) -> None:
    said = entry(
        1, description="О приёмке", tags=["акт"], custom_attributes={"n": 1, "a": ["б", {"c": None}]}
    )

    await files.apply(ELEMENT, EPOCH, [said], position=1)

    file = await files.get(file_id(1))
    assert (file.element_id, file.sequence, file.attributes) == (ELEMENT, 1, said.attributes)


def unread(said: JournalEntry) -> UnreadEntry:
    """``said`` as the indexer gets it."""
    return UnreadEntry.model_validate_json(said.model_dump_json())


async def test_unread_entries_come_to_the_same(files: FilesStore) -> None:
    said = [entry(number, description="О приёмке", custom_attributes={"n": 1.5}) for number in range(1, 11)]
    await files.apply(ELEMENT, EPOCH, said[:5])

    applied = await files.apply(ELEMENT, EPOCH, [unread(each) for each in said], position=10)

    assert (applied.written, applied.skipped) == (5, 5)
    found = [(await files.get(file_id(number))).attributes for number in range(1, 11)]
    assert found == [each.attributes for each in said]


async def test_an_entry_that_concerns_no_file_moves_the_position_alone(files: FilesStore) -> None:
    mode = JournalEntry(sequence=2, time=created_at(2), operation="mode", mode="ro")

    handed_over = await files.apply(ELEMENT, EPOCH, [mode])
    applied = await files.apply(ELEMENT, EPOCH, [unread(entry(1)), unread(mode)], position=2)

    assert (handed_over.written, handed_over.skipped) == (0, 0)
    assert (applied.written, applied.skipped) == (1, 0)
    assert await files.wait_for_position(JournalPosition(ELEMENT, 2), within=0)
    assert await ids(files) == [file_id(1)]


async def test_an_unread_entry_that_is_none_is_refused_and_nothing_of_its_slice_is_kept(
    files: FilesStore,
) -> None:
    fault = unread(entry(2)).model_copy(update={"attributes": {"file_id": "?"}})

    with pytest.raises(UpstreamError, match="entry 2 is not"):
        await files.apply(ELEMENT, EPOCH, [unread(entry(1)), fault], position=2)

    assert await ids(files) == []
    assert await files.position(ELEMENT) is None


async def test_an_unknown_file_is_not_found(files: FilesStore) -> None:
    with pytest.raises(NotFoundError, match=str(file_id(1))):
        await files.get(file_id(1))


async def test_the_position_moves_with_the_rows_and_never_back(files: FilesStore) -> None:
    assert await files.position(ELEMENT) is None

    await files.apply(ELEMENT, EPOCH, [entry(1), entry(2)], position=2)
    await files.apply(ELEMENT, EPOCH, [entry(1)], position=1)

    position = await files.position(ELEMENT)
    assert position is not None
    assert (position.epoch, position.sequence) == (EPOCH, 2)
    assert [found.element_id for found in await files.positions()] == [ELEMENT]


async def test_what_is_handed_over_is_found_but_does_not_move_the_position(files: FilesStore) -> None:
    applied = await files.apply(ELEMENT, EPOCH, [entry(1, sequence=7)])

    assert applied.written == 1
    assert await ids(files) == [file_id(1)]
    assert await files.position(ELEMENT) is None


async def test_repeating_a_slice_does_nothing(files: FilesStore) -> None:
    slice_ = [entry(number) for number in range(1, 11)]
    await files.apply(ELEMENT, EPOCH, slice_, position=10)

    again = await files.apply(ELEMENT, EPOCH, slice_, position=10)

    assert (again.written, again.confirmed, again.removed, again.skipped) == (0, 0, 0, 10)


async def test_the_journal_confirms_what_was_handed_over(files: FilesStore) -> None:
    await files.apply(ELEMENT, EPOCH, [entry(1, sequence=3)])

    applied = await files.apply(ELEMENT, EPOCH, [entry(1, sequence=3)], position=3)

    assert (applied.written, applied.skipped) == (0, 1)


async def test_the_later_entry_holds_though_it_comes_first(files: FilesStore) -> None:
    await files.apply(ELEMENT, EPOCH, [entry(1, sequence=2, description="new", version=2)])
    await files.apply(ELEMENT, EPOCH, [entry(1, sequence=1, description="old")])

    assert (await files.get(file_id(1))).attributes.description == "new"


async def test_the_last_of_several_entries_of_one_file_holds(files: FilesStore) -> None:
    said = [entry(1, sequence=2, description="new", version=2), entry(1, sequence=1, description="old")]

    applied = await files.apply(ELEMENT, EPOCH, said, position=2)

    assert (applied.written, applied.skipped) == (1, 1)
    assert (await files.get(file_id(1))).attributes.description == "new"


async def test_a_change_replaces_everything_the_file_was_found_by(
    files: FilesStore, searches: SearchStore
) -> None:
    old = entry(1, description="древний", tags=["давно"], custom_attributes={"year": 1999})
    new = entry(
        1, sequence=2, version=2, description="свежий", tags=["недавно"], custom_attributes={"year": 2026}
    )

    await files.apply(ELEMENT, EPOCH, [old], position=1)
    await files.apply(ELEMENT, EPOCH, [new], position=2)

    for criteria in ({"query": "древний"}, {"tags": ["давно"]}, {"attributes": {"year": 1999}}):
        assert await found(searches, **criteria) == []
    for criteria in ({"query": "свежий"}, {"tags": ["недавно"]}, {"attributes": {"year": 2026}}):
        assert await found(searches, **criteria) == [file_id(1)]


@pytest.mark.parametrize("gone", [{"operation": "delete"}, {"operation": "update", "status": "deleted"}])
async def test_a_deleted_file_leaves_nothing(
    database: Database, files: FilesStore, searches: SearchStore, gone: Mapping[str, Any]
) -> None:
    await files.apply(ELEMENT, EPOCH, [entry(1, tags=["акт"], custom_attributes={"n": 1})], position=1)

    applied = await files.apply(ELEMENT, EPOCH, [entry(1, sequence=2, **gone)], position=2)

    assert applied.removed == 1
    assert await found(searches, query="file") == []
    for table in ("files", "file_sidecars", "file_tags", "file_attributes", "text_stems", "text_parts"):
        assert await rows_of(database, table) == 0


async def test_a_late_handover_does_not_bring_a_deleted_file_back(files: FilesStore) -> None:
    await files.apply(ELEMENT, EPOCH, [entry(1, sequence=1)], position=1)
    await files.apply(ELEMENT, EPOCH, [entry(1, sequence=2, operation="delete")], position=2)

    applied = await files.apply(ELEMENT, EPOCH, [entry(1, sequence=1)])

    assert applied.skipped == 1
    assert await ids(files) == []


@pytest.mark.parametrize("last_bits", [0, 1023], ids=["first", "last"])
async def test_files_of_one_microsecond_get_rows_of_their_own(files: FilesStore, last_bits: int) -> None:
    # The last ten bits of an id are part of the row id: these three are alike in them.
    twins = [UUID(int=file_id(1).int >> 10 << 10 | last_bits | number << 40) for number in range(3)]
    said = [entry(1, sequence=number + 1) for number in range(3)]
    said = [
        each.model_copy(
            update={"file_id": twin, "attributes": attributes(1, file_id=twin)},
        )
        for each, twin in zip(said, twins, strict=True)
    ]

    await files.apply(ELEMENT, EPOCH, said[:1], position=1)
    await files.apply(ELEMENT, EPOCH, said, position=3)

    assert set(await ids(files)) == set(twins)


class TestEpochs:
    async def test_reading_again_confirms_and_forgets_what_is_no_more(
        self, files: FilesStore, searches: SearchStore
    ) -> None:
        await files.apply(ELEMENT, EPOCH, [entry(number) for number in range(1, 5)], position=4)

        await files.new_epoch(ELEMENT, "epoch-2")
        applied = await files.apply(
            ELEMENT, "epoch-2", [entry(3, sequence=1), entry(1, sequence=2)], position=2
        )
        found_meanwhile = await found(searches, query="file")
        forgotten = await files.forget_older_epochs(ELEMENT, "epoch-2")

        assert applied.confirmed == 2
        assert len(found_meanwhile) == 4
        assert forgotten == 2
        assert await ids(files) == [file_id(3), file_id(1)]
        assert set(await found(searches, query="file")) == {file_id(3), file_id(1)}

    async def test_a_new_epoch_is_begun_once(self, files: FilesStore) -> None:
        await files.new_epoch(ELEMENT, EPOCH)
        await files.apply(ELEMENT, EPOCH, [entry(1)], position=1)

        await files.new_epoch(ELEMENT, EPOCH)

        position = await files.position(ELEMENT)
        assert position is not None
        assert position.sequence == 1

    async def test_a_change_in_the_new_epoch_is_taken_though_its_sequence_is_lower(
        self, files: FilesStore
    ) -> None:
        await files.apply(ELEMENT, EPOCH, [entry(1, sequence=9)], position=9)
        await files.new_epoch(ELEMENT, "epoch-2")

        await files.apply(ELEMENT, "epoch-2", [entry(1, sequence=1, description="restored")], position=1)

        assert (await files.get(file_id(1))).attributes.description == "restored"

    async def test_a_reader_of_another_epoch_is_refused(self, files: FilesStore) -> None:
        await files.apply(ELEMENT, EPOCH, [entry(1)], position=1)
        await files.new_epoch(ELEMENT, "epoch-2")

        with pytest.raises(PreconditionFailedError, match="epoch-2"):
            await files.apply(ELEMENT, EPOCH, [entry(2)], position=2)
        with pytest.raises(PreconditionFailedError, match="epoch-2"):
            await files.forget_older_epochs(ELEMENT, EPOCH)

        assert await ids(files) == [file_id(1)]

    async def test_a_handover_of_another_epoch_is_left_to_the_journal(self, files: FilesStore) -> None:
        await files.new_epoch(ELEMENT, "epoch-2")

        applied = await files.apply(ELEMENT, EPOCH, [entry(1)])

        assert applied.skipped == 1
        assert await ids(files) == []

    async def test_forgetting_touches_no_other_element(self, files: FilesStore) -> None:
        await files.apply("se-02", EPOCH, [entry(1)], position=1)
        await files.new_epoch(ELEMENT, "epoch-2")

        assert await files.forget_older_epochs(ELEMENT, "epoch-2") == 0
        assert await ids(files) == [file_id(1)]

    async def test_more_than_one_batch_is_forgotten(
        self, files: FilesStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("artstore.core.stores.files.FORGET_BATCH", 3)
        await files.apply(ELEMENT, EPOCH, [entry(number) for number in range(1, 9)], position=8)
        await files.new_epoch(ELEMENT, "epoch-0")

        assert await files.forget_older_epochs(ELEMENT, "epoch-0") == 8
        assert await ids(files) == []


class TestTwoElements:
    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    async def test_the_copy_with_the_higher_version_holds(
        self, files: FilesStore, order: Sequence[int]
    ) -> None:
        copies = [("se-01", entry(1)), ("se-02", entry(1, version=2))]

        for number in order:
            element_id, said = copies[number]
            await files.apply(element_id, EPOCH, [said], position=1)

        assert (await files.get(file_id(1))).element_id == "se-02"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    async def test_of_equal_versions_the_one_updated_later_holds(
        self, files: FilesStore, order: Sequence[int]
    ) -> None:
        later = created_at(1) + timedelta(seconds=1)
        copies = [("se-01", entry(1, updated_at=later)), ("se-02", entry(1))]

        for number in order:
            element_id, said = copies[number]
            await files.apply(element_id, EPOCH, [said], position=1)

        assert (await files.get(file_id(1))).element_id == "se-01"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    async def test_a_permanent_copy_holds_whatever_becomes_of_a_temporary_one(
        self, files: FilesStore, order: Sequence[int]
    ) -> None:
        temporary = Retention(policy="temporary", expires_at=created_at(9))
        copies = [("se-01", entry(1, version=7, retention=temporary)), ("se-02", entry(1, version=2))]

        for number in order:
            element_id, said = copies[number]
            await files.apply(element_id, EPOCH, [said], position=1)

        assert (await files.get(file_id(1))).element_id == "se-02"

    @pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
    async def test_deleting_the_original_leaves_the_copy(
        self, files: FilesStore, order: Sequence[int]
    ) -> None:
        said = [
            ("se-01", entry(1, sequence=1)),
            ("se-01", entry(1, sequence=2, operation="delete")),
            ("se-02", entry(1, sequence=1, version=2)),
        ]

        for number in order:
            element_id, each = said[number]
            await files.apply(element_id, EPOCH, [each], position=each.sequence)

        assert (await files.get(file_id(1))).element_id == "se-02"


class TestLease:
    async def test_what_a_lost_lease_writes_is_refused_and_leaves_nothing(
        self, database: Database, files: FilesStore
    ) -> None:
        leases = LeasesStore(database)
        lease = await leases.acquire("indexer", holder="first", duration=timedelta(hours=1))
        assert lease is not None
        await files.apply(ELEMENT, EPOCH, [entry(1)], position=1, lease=lease)
        await leases.release(lease)
        assert await leases.acquire("indexer", holder="second", duration=timedelta(hours=1))

        for write in (
            files.apply(ELEMENT, EPOCH, [entry(2)], position=2, lease=lease),
            files.new_epoch(ELEMENT, "epoch-2", lease=lease),
            files.forget_older_epochs(ELEMENT, EPOCH, lease=lease),
        ):
            with pytest.raises(PreconditionFailedError, match="lease"):
                await write

        position = await files.position(ELEMENT)
        assert position is not None
        assert (position.epoch, position.sequence) == (EPOCH, 1)
        assert await ids(files) == [file_id(1)]


class TestListing:
    async def test_files_are_listed_newest_first_in_pages(self, files: FilesStore) -> None:
        await files.apply(ELEMENT, EPOCH, [entry(number) for number in (3, 1, 5, 2, 4)], position=5)

        first = await files.list(limit=2)
        second = await files.list(limit=2, after=first.next_after)
        last = await files.list(limit=2, offset=4)

        pages = [[file.attributes.file_id for file in page.items] for page in (first, second, last)]
        assert pages == [[file_id(5), file_id(4)], [file_id(3), file_id(2)], [file_id(1)]]
        assert [page.has_more for page in (first, second, last)] == [True, True, False]
        assert [page.total for page in (first, second, last)] == [5, 5, 5]
        assert last.next_after is None

    async def test_the_files_of_one_element_are_listed_and_counted(self, files: FilesStore) -> None:
        await files.apply("se-01", EPOCH, [entry(1), entry(3)], position=3)
        await files.apply("se-02", EPOCH, [entry(2)], position=2)

        page = await files.list(element_id="se-01")

        assert [file.attributes.file_id for file in page.items] == [file_id(3), file_id(1)]
        assert page.total == 2

    async def test_an_element_s_files_are_read_in_order_and_not_sorted(
        self, database: Database, files: FilesStore
    ) -> None:
        plan = await database.fetch_all(
            "EXPLAIN QUERY PLAN SELECT f.row_id FROM files AS f WHERE f.element_id = 'x'"
            " AND f.row_id < 9 ORDER BY f.row_id DESC LIMIT 10"
        )

        assert [row["detail"] for row in plan] == [
            "SEARCH f USING COVERING INDEX files_element_id (element_id=? AND row_id<?)"
        ]

    @pytest.mark.parametrize("after", ["x", "", "-1", "9" * 30, "²", "1.5"])
    async def test_a_cursor_that_is_none_is_refused(self, files: FilesStore, after: str) -> None:
        with pytest.raises(InvalidRequestError, match="next_after"):
            await files.list(after=after)


class TestWaiting:
    async def test_a_position_that_is_reached_is_not_waited_for(self, files: FilesStore) -> None:
        await files.apply(ELEMENT, EPOCH, [entry(1)], position=5)

        assert await files.wait_for_position(JournalPosition(ELEMENT, 5), within=0)
        assert not await files.wait_for_position(JournalPosition(ELEMENT, 6), within=0)

    async def test_an_element_that_nobody_knows_is_not_waited_for(self, files: FilesStore) -> None:
        with pytest.raises(InvalidRequestError, match="se-99"):
            await files.wait_for_position(JournalPosition("se-99", 1), within=60)

    async def test_waiting_ends_when_the_position_is_reached(self, files: FilesStore) -> None:
        await files.new_epoch(ELEMENT, EPOCH)

        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(files.wait_for_position(JournalPosition(ELEMENT, 1), within=60))
            await asyncio.sleep(0.03)
            assert not waiting.done()
            await files.apply(ELEMENT, EPOCH, [entry(1)], position=1)

        assert waiting.result()

"""What is remembered of files that are read is true, whatever happens meanwhile."""

from datetime import UTC, datetime
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.ids import new_file_id
from artstore.services.storage_element.catalog_records import Change, Committed
from artstore.services.storage_element.recent_files import LIMIT, RecentFiles


def committed(file_id: UUID, *, sequence: int = 1) -> Committed:
    now = datetime.now(UTC)
    attributes = FileAttributes(
        file_id=file_id,
        original_filename="a.txt",
        storage_filename="a.txt",
        storage_path="2026/01/01/00",
        file_size=0,
        checksum="0" * 64,
        created_at=now,
        updated_at=now,
        created_by_id="1",
        created_by_username="petrov",
    )
    change = Change.of("create", attributes, key=attributes.storage_key, sidecar=attributes.to_json())
    return Committed(change, sequence, "2026-01-01T00:00:00.000000Z", "epoch")


def test_an_answer_is_remembered() -> None:
    recent = RecentFiles()
    known = committed(new_file_id())
    file_id = known.change.file_id

    recent.answer(recent.ask(file_id), file_id, known)

    assert recent.get(file_id) is known


def test_an_answer_from_before_a_change_is_not_remembered() -> None:
    recent = RecentFiles()
    known = committed(new_file_id())
    file_id = known.change.file_id
    question = recent.ask(file_id)

    recent.forget(file_id)
    recent.answer(question, file_id, known)

    assert recent.get(file_id) is None


def test_an_answer_from_before_a_change_is_not_taken_for_a_later_one() -> None:
    recent = RecentFiles()
    file_id = new_file_id()
    old, new = committed(file_id, sequence=1), committed(file_id, sequence=2)
    early = recent.ask(file_id)
    recent.forget(file_id)
    late = recent.ask(file_id)

    recent.answer(early, file_id, old)
    recent.answer(late, file_id, new)

    assert recent.get(file_id) is new


def test_that_a_file_is_unknown_is_not_remembered() -> None:
    recent = RecentFiles()
    file_id = new_file_id()

    recent.answer(recent.ask(file_id), file_id, None)

    assert recent.get(file_id) is None


def test_the_memory_is_bounded() -> None:
    recent = RecentFiles()
    ids = [new_file_id() for _ in range(LIMIT + 1)]

    for file_id in ids:
        recent.answer(recent.ask(file_id), file_id, committed(file_id))

    assert recent.get(ids[0]) is None
    assert all(recent.get(file_id) is not None for file_id in ids[1:])

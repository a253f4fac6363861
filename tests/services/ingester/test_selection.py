"""Which element a file goes to."""

from datetime import UTC, datetime

import pytest

from artstore.core.attributes import RetentionPolicy
from artstore.core.capacity import CapacityStatus
from artstore.core.exchange import Capacity, Element
from artstore.core.modes import Mode
from artstore.core.spec import InsufficientStorageError, UnavailableError
from artstore.services.ingester.selection import candidates, refusal

GIB = 2**30


def element(
    element_id: str,
    mode: Mode = "edit",
    *,
    priority: int = 100,
    status: CapacityStatus = "ok",
    free: int | None = GIB,
    is_online: bool = True,
) -> Element:
    return Element(
        element_id=element_id,
        url=f"http://{element_id}",
        name=element_id,
        mode=mode,
        priority=priority,
        storage_type="local",
        status="online" if is_online else "offline",
        capacity=Capacity(free=free, status=status),
        registered_at=datetime.now(UTC),
    )


def chosen(
    *elements: Element,
    retention: RetentionPolicy = "permanent",
    size: int | None = 1000,
    avoided: frozenset[str] = frozenset(),
) -> list[str]:
    found = candidates(elements, retention=retention, size=size, avoided=avoided)
    return [each.element_id for each in found]


def test_permanent_files_go_where_nothing_is_deleted_and_else_to_edit() -> None:
    assert chosen(element("a", "edit"), element("b", "rw"), element("c", "ro"), element("d", "ar")) == [
        "b",
        "a",
    ]


def test_temporary_files_go_only_to_edit() -> None:
    assert chosen(element("a", "edit"), element("b", "rw"), retention="temporary") == ["a"]


def test_an_element_with_more_room_in_its_own_eyes_comes_first() -> None:
    elements = [element("a", status="critical"), element("b", status="warning"), element("c", priority=200)]

    assert chosen(*elements) == ["c", "b", "a"]


def test_a_full_element_gets_nothing() -> None:
    assert chosen(element("a", status="full"), element("b", status="critical")) == ["b"]


def test_priority_decides_between_elements_with_room() -> None:
    assert chosen(element("a", priority=2), element("b", priority=1, free=2000)) == ["b", "a"]


def test_more_free_space_decides_between_equals() -> None:
    assert chosen(element("a", free=2000), element("b", free=3000)) == ["b", "a"]


def test_a_file_does_not_go_where_it_does_not_fit() -> None:
    assert chosen(element("a", free=999), element("b", free=1000)) == ["b"]


def test_where_the_space_or_the_size_is_unknown_the_element_decides() -> None:
    assert chosen(element("a", free=None)) == ["a"]
    assert chosen(element("a", free=1), size=None) == ["a"]


def test_elements_that_did_not_answer_come_last() -> None:
    elements = [element("a", "rw", is_online=False), element("b", "rw"), element("c", "edit")]

    assert chosen(*elements, avoided=frozenset({"b"})) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("elements", "kind", "said"),
    [
        ([], UnavailableError, "no storage element is registered"),
        ([element("a", "ro")], UnavailableError, "a is in mode ro"),
        ([element("a", status="full")], InsufficientStorageError, "for 1000 bytes: a"),
    ],
)
def test_why_there_is_no_place_is_told(elements: list[Element], kind: type[Exception], said: str) -> None:
    error = refusal(elements, retention="permanent", size=1000)

    assert type(error) is kind
    assert said in error.detail

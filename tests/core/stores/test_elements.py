"""The registry of storage elements."""

from datetime import timedelta
from typing import Any

import pytest

from artstore.core.spec import Database, NotFoundError
from artstore.core.stores.elements import Element, ElementsStore, ElementState
from tests.core.stores.entries import START

LATER = START + timedelta(minutes=1)


@pytest.fixture
def elements(database: Database) -> ElementsStore:
    return ElementsStore(database)


def element(element_id: str, **changes: Any) -> Element:
    fields: dict[str, Any] = {
        "element_id": element_id,
        "url": f"http://{element_id}:8010",
        "name": f"Element {element_id}",
        "mode": "rw",
        "storage_type": "local",
        "registered_at": START,
        "updated_at": START,
    }
    return Element.model_validate({**fields, **changes})


async def test_an_element_comes_back_as_it_was_registered(elements: ElementsStore) -> None:
    registered = element("se-01", capacity_total=2**50, capacity_free=1, capacity_status="critical")

    assert await elements.upsert(registered) == registered

    assert await elements.get("se-01") == registered


async def test_registering_again_replaces_all_but_the_first_time(elements: ElementsStore) -> None:
    await elements.upsert(element("se-01"))

    again = await elements.upsert(element("se-01", url="http://new", mode="ro", registered_at=LATER))

    assert again == element("se-01", url="http://new", mode="ro")


async def test_elements_are_listed_as_uploads_prefer_them(elements: ElementsStore) -> None:
    for element_id, priority in (("c", 100), ("a", 100), ("b", 1)):
        await elements.upsert(element(element_id, priority=priority))

    assert [found.element_id for found in await elements.list()] == ["b", "a", "c"]


async def test_what_an_element_says_makes_it_online(elements: ElementsStore) -> None:
    await elements.upsert(element("se-01"))
    await elements.mark_offline("se-01", at=START)
    assert (await elements.get("se-01")).status == "offline"
    state = ElementState(
        name="renamed",
        mode="ro",
        priority=7,
        storage_type="s3",
        capacity_total=100,
        capacity_free=50,
        capacity_status="warning",
    )

    await elements.update_state("se-01", state, seen_at=LATER)

    assert await elements.get("se-01") == element(
        "se-01", **state.model_dump(), status="online", last_seen_at=LATER, updated_at=LATER
    )


async def test_a_deleted_element_is_gone(elements: ElementsStore) -> None:
    await elements.upsert(element("se-01"))

    await elements.delete("se-01")

    assert await elements.list() == []


async def test_an_unknown_element_is_not_found(elements: ElementsStore) -> None:
    state = ElementState(name="x", mode="rw", storage_type="local")

    with pytest.raises(NotFoundError, match="se-99"):
        await elements.get("se-99")
    with pytest.raises(NotFoundError, match="se-99"):
        await elements.delete("se-99")
    with pytest.raises(NotFoundError, match="se-99"):
        await elements.update_state("se-99", state, seen_at=LATER)
    with pytest.raises(NotFoundError, match="se-99"):
        await elements.mark_offline("se-99", at=LATER)

"""Chooses where a file is to stay for good."""

from collections.abc import Collection, Sequence
from typing import Final

from artstore.core import modes
from artstore.core.capacity import CapacityStatus
from artstore.core.spec import InvalidRequestError
from artstore.core.stores.elements import Element

_BY_SPACE: Final[Sequence[CapacityStatus]] = ("ok", "warning", "critical")


def requested_target(elements: Sequence[Element], element_id: str) -> Element:
    """The element that somebody wants the file on.

    Raises:
        InvalidRequestError: there is no such element.
        ModeNotAllowedError: it takes no files.
    """
    for element in elements:
        if element.element_id == element_id:
            modes.check(element.mode, "create", element_id=element_id)
            return element
    names = ", ".join(element.element_id for element in elements)
    message = f"is no storage element; there are: {names}"
    raise InvalidRequestError(f"element_id {message}", [("element_id", message)])


def best_target(elements: Sequence[Element], *, size: int, without: Collection[str] = ()) -> Element | None:
    """The ``rw`` element that permanent files should fill next; ``None`` when none can take the file."""

    def order(element: Element) -> tuple[int, int, int, str]:
        space = _BY_SPACE.index(element.capacity_status)
        return space, element.priority, -(element.capacity_free or 0), element.element_id

    fit = [e for e in elements if _can_take(e, size) and e.element_id not in without]
    return min(fit, key=order, default=None)


def _can_take(element: Element, size: int) -> bool:
    """An element of unknown size decides itself."""
    has_room = element.capacity_status != "full" and (
        element.capacity_free is None or size <= element.capacity_free
    )
    return element.mode == "rw" and element.status == "online" and has_room

"""Chooses where a file goes: by mode, then by space, then by the operator's order."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from artstore.core.attributes import RetentionPolicy
from artstore.core.capacity import CapacityStatus
from artstore.core.exchange import Element
from artstore.core.modes import Mode
from artstore.core.spec import ArtStoreError, InsufficientStorageError, UnavailableError

# What is to be deleted one day must be where deleting is allowed.
MODES: Final[Mapping[RetentionPolicy, Sequence[Mode]]] = {
    "temporary": ("edit",),
    "permanent": ("rw", "edit"),
}
_BY_SPACE: Final[Sequence[CapacityStatus]] = ("ok", "warning", "critical")


def candidates(
    elements: Sequence[Element],
    *,
    retention: RetentionPolicy,
    size: int | None,
    avoided: Collection[str] = (),
) -> list[Element]:
    """The elements that may take a file of ``size`` bytes, the best first.

    Those that did not answer lately, to us (``avoided``) or to admin, come last: they may be back.
    """
    modes = MODES[retention]

    def order(element: Element) -> tuple[bool, int, int, int, int, str]:
        return (
            element.status == "offline" or element.element_id in avoided,
            modes.index(element.mode),
            _BY_SPACE.index(element.capacity.status),
            element.priority,
            -(element.capacity.free or 0),
            element.element_id,
        )

    return sorted((e for e in elements if e.mode in modes and _has_room(e, size)), key=order)


def refusal(elements: Sequence[Element], *, retention: RetentionPolicy, size: int | None) -> ArtStoreError:
    """Why there is no candidate."""
    if not elements:
        return UnavailableError("no storage element is registered")
    writable = [element for element in elements if element.mode in MODES[retention]]
    if not writable:
        modes = ", ".join(f"{element.element_id} is in mode {element.mode}" for element in elements)
        return UnavailableError(f"no storage element takes {retention} files: {modes}")
    needed = "" if size is None else f" for {size} bytes"
    names = ", ".join(element.element_id for element in writable)
    return InsufficientStorageError(f"no storage element has room{needed}: {names}")


def _has_room(element: Element, size: int | None) -> bool:
    """An element of unknown size decides itself."""
    free = element.capacity.free
    return element.capacity.status != "full" and (size is None or free is None or size <= free)

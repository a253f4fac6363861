"""Where the storage elements are, as admin registered them."""

from time import monotonic
from typing import Final

from artstore.core.spec import NotFoundError, UnavailableError
from artstore.core.stores.elements import ElementsStore

KEPT_FOR: Final = 10.0
"""Seconds: elements move rarely, and one that has moved is asked for again when it does not answer."""


class ElementUrls:
    """URLs by element, kept for a while."""

    def __init__(self, store: ElementsStore) -> None:
        self._store = store
        self._known: dict[str, tuple[str, float]] = {}

    async def get(self, element_id: str) -> str:
        """The URL of an element.

        Raises:
            UnavailableError: it is not registered, or the registry cannot be read.
        """
        url, until = self._known.get(element_id, ("", 0.0))
        if monotonic() < until:
            return url
        try:
            url = (await self._store.get(element_id)).url
        except NotFoundError:
            raise UnavailableError(
                f"the file is on storage element {element_id}, which is not registered"
            ) from None
        self._known[element_id] = (url, monotonic() + KEPT_FOR)
        return url

    def forget(self, element_id: str) -> None:
        """It did not answer there: look it up again."""
        self._known.pop(element_id, None)

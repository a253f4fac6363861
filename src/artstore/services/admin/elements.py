"""The registry of storage elements: who they are, where they are, and what they last said."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from yarl import URL

from artstore.core.client.networks import is_refused
from artstore.core.client.roles import RoleClient, parse
from artstore.core.exchange import Capacity, Element, ElementInfo, ElementPage
from artstore.core.http.problems import RemoteError
from artstore.core.logging import get_logger
from artstore.core.modes import Mode
from artstore.core.spec import (
    AlreadyExistsError,
    ArtStoreError,
    InvalidRequestError,
    UnavailableError,
    UpstreamError,
)
from artstore.core.stores import elements as stored
from artstore.core.stores.elements import ElementsStore, ElementState, ElementStatus
from artstore.core.transitions import Transition, TransitionOrder, TransitionRequest
from artstore.services.admin.paging import Paging

ASK_TIMEOUT: Final = 5.0
"""Seconds an element has to say how it is."""

_LABEL: Final = "[A-Za-z0-9_-]{1,63}"
_NAME: Final = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_IPV6: Final = r"\[[0-9A-Fa-f:.]+\]"
_log: Final = get_logger("elements")


def _check_url(url: str) -> str:
    """No pattern tells which IPv6 addresses and ports there are."""
    try:
        URL(url)
    except ValueError:
        raise ValueError("is no URL: its address or its port cannot be") from None
    return url


class NewElement(BaseModel):
    """A storage element to register."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: Annotated[
        str,
        Field(
            max_length=255,
            pattern=rf"^https?://(?:{_NAME}|{_IPV6})(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._~/-]*)?$",
            description="Where the element is reached by the other roles.",
        ),
        AfterValidator(_check_url),
    ]


class ElementQuery(Paging):
    """Which elements to list."""

    mode: Mode | None = None
    status: ElementStatus | None = None


class ElementRegistry:
    """Registers storage elements; what is known of them comes from themselves."""

    def __init__(self, store: ElementsStore, client: RoleClient) -> None:
        self._store = store
        self._client = client

    async def register(self, url: str) -> Element:
        """Ask the element at ``url`` who it is, and register it; again, when it has moved there.

        Raises:
            InvalidRequestError: no element may be there.
            UnavailableError: nothing answers there.
            UpstreamError: what answers is not an element.
            AlreadyExistsError: the element answers under another URL as well.
        """
        url = url.rstrip("/")
        try:
            info = await self.ask(url)
        except UnavailableError as error:
            if error.__cause__ is not None and is_refused(error.__cause__):
                raise InvalidRequestError(
                    "that address is in a network in which no storage element may be",
                    [("url", "is in a network that is not in allowed_networks of [admin]")],
                ) from error
            raise
        await self._check_moved(info.element_id, url)
        now = datetime.now(UTC)
        element = await self._store.upsert(
            stored.Element(
                **dict(state_of(info)),
                element_id=info.element_id,
                url=url,
                last_seen_at=now,
                registered_at=now,
                updated_at=now,
            )
        )
        return _exchanged(element)

    async def list(self, query: ElementQuery) -> ElementPage:
        """Elements in the order in which uploads prefer them."""
        found = [
            _exchanged(element)
            for element in await self._store.list()
            if query.mode in (None, element.mode) and query.status in (None, element.status)
        ]
        end = query.offset + query.limit
        return ElementPage(
            items=found[query.offset : end],
            total=len(found),
            limit=query.limit,
            offset=query.offset,
            has_more=end < len(found),
        )

    async def get(self, element_id: str) -> Element:
        """One element.

        Raises:
            NotFoundError: it is not registered.
        """
        return _exchanged(await self._store.get(element_id))

    async def change_mode(self, element_id: str, order: TransitionOrder, *, by: str) -> Transition:
        """Let an element validate a change of its mode, or do it; then the registry has the new one.

        Raises:
            NotFoundError: it is not registered.
            RemoteError: the element refuses.
            UnavailableError: it cannot be reached, or has not finished what is under way.
            UpstreamError: it fails.
        """
        element = await self._store.get(element_id)
        request = TransitionRequest(**order.model_dump(), on_behalf_of=by)
        answer = await self._client.post(
            f"{element.url}/api/v1/mode/transition", request, deadline=order.wait + ASK_TIMEOUT
        )
        transition = parse(Transition, answer)
        if transition.status == "confirmed":
            await self._look_again(element)
        return transition

    async def delete(self, element_id: str) -> None:
        """Take an element out of the registry. Its files stay where they are.

        Raises:
            NotFoundError: it is not registered.
        """
        await self._store.delete(element_id)

    async def check(self) -> str:
        """How the elements are, for the readiness.

        Raises:
            UnavailableError: one does not answer, or none is registered.
        """
        elements = await self._store.list()
        offline = [element.element_id for element in elements if element.status == "offline"]
        if offline:
            raise UnavailableError(f"these storage elements do not answer: {', '.join(offline)}")
        if not elements:
            raise UnavailableError("no storage element is registered")
        return f"{len(elements)} online"

    async def ask(self, url: str) -> ElementInfo:
        """What the element at ``url`` says of itself.

        Raises:
            UnavailableError: nothing answers there.
            UpstreamError: what answers is not an element.
        """
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                return await self._client.get(f"{url}/api/v1/info", ElementInfo)
        except TimeoutError:
            raise UnavailableError(f"nothing answers within {ASK_TIMEOUT:g} seconds") from None
        except RemoteError as error:
            raise UpstreamError(f"what answers there is not a storage element: {error.detail}") from error

    async def _look_again(self, element: stored.Element) -> None:
        """What has changed there is known here at once, if both can be reached; otherwise soon."""
        try:
            state = state_of(await self.ask(element.url))
            await self._store.update_state(element.element_id, state, seen_at=datetime.now(UTC))
        except ArtStoreError as error:
            _log.warning("mode_not_registered_yet", element_id=element.element_id, reason=error.detail)

    async def _check_moved(self, element_id: str, url: str) -> None:
        """An element may move, not be in two places: a copy of its root would diverge unnoticed."""
        registered = next((e for e in await self._store.list() if e.element_id == element_id), None)
        if registered is None or registered.url == url:
            return
        try:
            other = await self.ask(registered.url)
        except ArtStoreError:
            return
        if other.element_id == element_id:
            raise AlreadyExistsError(
                f"storage element {element_id} answers at {registered.url}, too; stop one of the two"
            )


def state_of(info: ElementInfo) -> ElementState:
    """What the registry keeps of an element's own words."""
    return ElementState(
        name=info.name,
        mode=info.mode,
        priority=info.priority,
        storage_type=info.storage_type,
        capacity_total=info.capacity.total,
        capacity_free=info.capacity.free,
        capacity_status=info.capacity.status,
    )


def _exchanged(element: stored.Element) -> Element:
    capacity = Capacity(
        total=element.capacity_total, free=element.capacity_free, status=element.capacity_status
    )
    return Element(**element.model_dump(), capacity=capacity)

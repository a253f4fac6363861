"""For which role a token is to be good (RFC 8707): all of the cluster, or one that the client names."""

from typing import Final

from artstore.core.config import RoleName, Settings
from artstore.core.stores.elements import ElementsStore
from artstore.services.admin.client_requests import TokenRefusedError

ROLES: Final[tuple[RoleName, ...]] = ("admin", "ingester", "query", "element")


class Resources:
    """The roles of this cluster and its storage elements, by URL."""

    def __init__(self, settings: Settings, elements: ElementsStore) -> None:
        self._audience = settings.audience
        self._roles = {settings.url(role) for role in ROLES}
        self._elements = elements

    async def audience(self, resource: str | None) -> str:
        """The ``aud`` of a token for ``resource``; that of the whole cluster where none is named.

        Raises:
            TokenRefusedError: the cluster has no such role.
        """
        if resource is None:
            return self._audience
        url = resource.rstrip("/")
        if url in self._roles or url in {element.url for element in await self._elements.list()}:
            return url
        raise TokenRefusedError("invalid_target", "no role of this cluster is at that URL")

"""Passes on what clients want to know and to have done about finalizations: admin keeps them."""

from dataclasses import dataclass
from uuid import UUID

from artstore.core.client.roles import RoleClient, parse
from artstore.core.finalization import FinalizationAnswer, FinalizationOrder


@dataclass(frozen=True, slots=True)
class FinalizationRelay:
    """Asks admin. Nothing is kept here."""

    client: RoleClient
    admin_url: str

    async def start(self, order: FinalizationOrder) -> FinalizationAnswer:
        """Begin to make a file permanent.

        Raises:
            RemoteError: admin refuses.
            UnavailableError: admin, or the element that has the file, cannot be reached.
        """
        url = f"{self.admin_url}/api/v1/finalizations"
        return parse(FinalizationAnswer, await self.client.post(url, order))

    async def get(self, finalization_id: UUID) -> FinalizationAnswer:
        """How far one has come.

        Raises:
            RemoteError: there is none of this id.
            UnavailableError: admin cannot be reached.
        """
        url = f"{self.admin_url}/api/v1/finalizations/{finalization_id}"
        return await self.client.get(url, FinalizationAnswer)

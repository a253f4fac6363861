"""How a role hands its audit records to admin."""

from collections.abc import Sequence
from typing import Final

from artstore.core.audit.shipping import read_records
from artstore.core.client.roles import RoleClient
from artstore.core.http.problems import RemoteError
from artstore.core.spec import UpstreamError

RECORDS_PATH: Final = "/api/v1/audit-log/records"
_HEADERS: Final = {"Content-Type": "application/json"}


class AdminDelivery:
    """Sends canonical records as they are: they were validated when they were made.

    Only when admin refuses them are they looked at again: a disk may have changed one since.
    """

    def __init__(self, client: RoleClient, admin_url: str) -> None:
        self._client = client
        self._url = admin_url + RECORDS_PATH

    async def __call__(self, lines: Sequence[bytes]) -> None:
        """Return when they are in the log.

        Raises:
            UnavailableError: admin cannot be reached, or not write.
            UpstreamError: admin refuses them.
        """
        try:
            await self._send(lines)
        except RemoteError as error:
            readable = [record.canonical() for record in read_records(lines)]
            if len(readable) == len(lines):
                raise UpstreamError(f"admin refuses audit records: {error.detail}") from error
            await self(readable)

    async def _send(self, lines: Sequence[bytes]) -> None:
        body = b'{"records":[' + b",".join(lines) + b"]}"
        async with self._client.request("POST", self._url, headers=_HEADERS, data=body) as response:
            await response.read()

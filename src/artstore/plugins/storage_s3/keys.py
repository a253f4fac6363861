"""The keys that requests are signed with: others take their place while the bucket is open."""

import asyncio
from typing import Final

import aioboto3

from artstore.core.spec import ConfigurationError
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.connecting import new_session, open_client
from artstore.plugins.storage_s3.probing import Probe

OPTIONS: Final = {"access_key_id", "secret_access_key", "session_token"}


class Keys:
    """Those of ``session``, with which the client in use signs; ``probe`` tries others before."""

    def __init__(self, session: aioboto3.Session, config: S3Config, probe: Probe) -> None:
        self._session = session
        self._fixed = config.model_dump(exclude=OPTIONS)
        self._probe = probe

    async def take(self, config: S3Config) -> None:
        """Sign with the keys of ``config`` from now on: each request, and each repetition of one.

        Raises:
            ConfigurationError: they are no good here, or another option changed; nothing is different.
        """
        if config.model_dump(exclude=OPTIONS) != self._fixed:
            raise ConfigurationError(f"of an open bucket only {', '.join(sorted(OPTIONS))} can change")
        session = await asyncio.to_thread(new_session, config)
        async with open_client(session, config) as client:
            probe = self._probe.through(client)
            await (probe.require_access() if config.probe else probe.require_bucket())
        present, new = await self._session.get_credentials(), await session.get_credentials()
        # Nothing is awaited in between: a request is signed with the old keys or with the new ones.
        present.access_key, present.secret_key = new.access_key, new.secret_key
        present.token = new.token

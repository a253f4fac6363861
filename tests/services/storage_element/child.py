"""A storage element as a process of its own, to be killed: ``child.py DATA JWKS_URL [SECTIONS]``.

Its URL is the first line that it prints, or why it does not start. It stops on SIGTERM, and is killed at
the change of the disk that ``DIE_AT`` numbers; with a directory ``GRAVEYARD``, it loses what was not synced.
With ``STORAGE``, that is not what a local disk is (see :mod:`tests.services.storage_element.shared_storage`).
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from artstore.core.logging import configure_logging
from artstore.core.spec import ConfigurationError
from tests.services.storage_element import shared_storage
from tests.services.storage_element.harness import element_app, element_settings, listening
from tests.services.storage_element.mortality import die_at


async def serve(data: Path, jwks_url: str, sections: dict[str, dict[str, object]]) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings = element_settings(data, jwks_url=jwks_url, **sections)
    wrap = shared_storage.become(os.environ.get("STORAGE", ""))
    app = await asyncio.to_thread(element_app, settings, wrap=wrap, has_trail=True)
    async with listening(app) as url:
        print(url, os.getpid(), flush=True)
        await stopping.wait()


if __name__ == "__main__":
    graveyard = os.environ.get("GRAVEYARD")
    die_at(int(os.environ.get("DIE_AT", "0")), graveyard=Path(graveyard) if graveyard else None)
    configure_logging(log_format="json", level="warning")
    try:
        asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], json.loads((sys.argv[3:] or ["{}"])[0])))
    except ConfigurationError as error:
        print(error, flush=True)
        sys.exit(2)

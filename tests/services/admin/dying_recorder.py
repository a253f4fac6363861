"""Admin as a process of its own, killed when it has made a service account and is about to record that."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from artstore.core.audit.spool_files import Place, SpoolFiles
from artstore.core.config import Settings
from artstore.core.logging import configure_logging
from tests.services.finalization.dying_admin import serve

append = SpoolFiles.append


def append_or_die(files: SpoolFiles, lines: Sequence[bytes]) -> Place:
    if any(b'"event":"create_service_account"' in line for line in lines):
        os.kill(os.getpid(), signal.SIGKILL)
    return append(files, lines)


if __name__ == "__main__":
    configure_logging(log_format="json", level="warning")
    setattr(SpoolFiles, "append", append_or_die)  # noqa: B010
    found = Settings.model_validate_json(sys.argv[2])
    asyncio.run(serve(found.model_copy(update={"base_directory": Path(sys.argv[1])})))

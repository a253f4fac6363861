"""What happens to files on a disk, done to a file of a test."""

import os
from pathlib import Path
from typing import Any

from tests.services.storage_element.harness import ElementClient


async def data_path(element: ElementClient, stored: dict[str, Any]) -> Path:
    """Where the data of a file is, once it is in its place."""
    await element.placed_files()
    return element.root.joinpath(stored["storage_path"], stored["storage_filename"])


def flip(path: Path, position: int) -> None:
    """Change one byte, as a medium does: the size and the time of the file stay."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(position if position >= 0 else status.st_size + position)
        [byte] = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

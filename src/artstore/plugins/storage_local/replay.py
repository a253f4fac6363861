"""What is done at the start with a commit log that a process left which did not end cleanly."""

import os
from contextlib import suppress
from typing import Final

from artstore.core.spec import ConfigurationError, Logger
from artstore.plugins.storage_local import beneath
from artstore.plugins.storage_local.reading import OPEN_FLAGS
from artstore.plugins.storage_local.root import WORKING_AREA, Root
from artstore.plugins.storage_local.segment import Content, ForeignError, Step, read_content
from artstore.plugins.storage_local.unwritten import IN_THE_WAY

DAMAGED: Final = f"{WORKING_AREA}/damaged-log"
"""Beginning of the paths at which segments are kept of which something could not be read."""


class Replay:
    """Puts in place what a process that did not end cleanly left in the log. Blocks.

    May be interrupted and repeated: the log is removed when all it says is on stable storage.
    """

    def __init__(self, root: Root, logger: Logger) -> None:
        self.count = 0
        """Objects that were found."""
        self.stuck: list[Step] = []
        """Those of which something is in the way."""
        self._root = root
        self._logger = logger
        self._segments: list[tuple[Content, str]] = []

    def run(self) -> None:
        """Put everything in place that is whole.

        Raises:
            ConfigurationError: a file is no log of this release.
        """
        segments = [(self._read(path), path) for path in self._root.log_files()]
        self._segments = sorted(segments, key=lambda segment: segment[0].generation)
        self._root.require_present()
        is_damaged = any(content.is_damaged for content, _ in self._segments)
        for content, _ in self._segments:
            for step in (step for batch in content.batches for step in batch):
                self.count += 1
                # What could not be read may have come after it, and be in its place already.
                if not (is_damaged and self._is_outdated(step)):
                    self._apply(step)
        if self.count:
            self._root.files.sync_file_system(self._root.path)

    def remove_log(self) -> None:
        for content, path in self._segments:
            if content.is_damaged:
                self._set_aside(path)
            else:
                self._root.files.remove(path)

    def _read(self, path: str) -> Content:
        try:
            return read_content(self._root.read(path))
        except ForeignError:
            raise ConfigurationError(
                f"{path} is no commit log of this release: start the release that has written it, or move "
                f"the file away, and with it what was acknowledged and is nowhere else"
            ) from None

    def _apply(self, step: Step) -> None:
        try:
            self._root.apply(step)
        except OSError as error:
            if error.errno not in IN_THE_WAY:
                raise
            self.stuck.append(step)

    def _is_outdated(self, step: Step) -> bool:
        path = self._root.locate(step.key)
        with suppress(OSError), open(beneath.open_beneath(self._root.path, path, OPEN_FLAGS), "rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns > step.modified_ns
        return False

    def _set_aside(self, path: str) -> None:
        """It is evidence, and may have what no plain file has."""
        kept = f"{self._root.path}/{DAMAGED}-{os.path.basename(path)}"
        self._root.files.rename(path, kept)
        self._logger.error("commit_log_damaged", kept=kept)

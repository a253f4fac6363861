"""What is done at the start with a commit log that a process left which did not end cleanly."""

from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.segment import Step, read_batches
from artstore.plugins.storage_local.unwritten import IN_THE_WAY


class Replay:
    """Puts in place what a process that did not end cleanly left in the log. Blocks.

    May be interrupted and repeated: the log is removed when all it says is on stable storage.
    """

    def __init__(self, root: Root) -> None:
        self.count = 0
        """Objects that were found."""
        self.stuck: list[Step] = []
        """Those of which something is in the way."""
        self._root = root
        self._paths: list[str] = []

    def run(self) -> None:
        segments = sorted((*read_batches(self._root.read(path)), path) for path in self._root.log_files())
        self._paths = [path for _, _, path in segments]
        steps = [step for _, batches, _ in segments for batch in batches for step in batch]
        self._root.require_present()
        for step in steps:
            try:
                self._root.apply(step)
            except OSError as error:
                if error.errno not in IN_THE_WAY:
                    raise
                self.stuck.append(step)
        if steps:
            self._root.files.sync_file_system(self._root.path)
        self.count = len(steps)

    def remove_log(self) -> None:
        for path in self._paths:
            self._root.files.remove(path)

"""Objects that are acknowledged and not in plain files yet, and what keeps them from there."""

from collections.abc import Sequence
from errno import EACCES, EEXIST, EISDIR, ELOOP, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EXDEV
from typing import Final

from artstore.core.spec import Logger
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.segment import Step

IN_THE_WAY: Final = frozenset({EACCES, EEXIST, EISDIR, ELOOP, ENOTDIR, ENOTEMPTY, EPERM, EXDEV})
"""Errors of one place: something else lies there, or on the way, or it may not be changed. It says nothing of
other places."""


class Unwritten:
    """In the order in which they were acknowledged. Used by one thread.

    ``pending`` loses those that are written. What is in the way of one of them keeps that one; those that
    are kept so may have ``limit`` bytes.
    """

    def __init__(self, root: Root, pending: dict[str, Step], *, limit: int, logger: Logger) -> None:
        self.steps: list[Step] = []
        self.failure: OSError | None = None
        """Why nothing can be written at present."""
        self._root = root
        self._pending = pending
        self._limit = limit
        self._logger = logger
        self._stuck: dict[str, OSError] = {}

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(step.key for step in self.steps)

    def add(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def require_free(self, key: str) -> None:
        """Refuse what would have to wait for what is in the way of an earlier version.

        Raises:
            OSError: saying what that is.
        """
        if (error := self._stuck.get(key)) is not None:
            raise error

    def write(self) -> None:
        """Put each in its place, unless something is in the way; what is left is tried again."""
        before, self._stuck = self._stuck, {}
        self.failure = self._absence()
        left: list[Step] = []
        for step in self.steps:
            if self.failure is None and step.key not in self._stuck and self._is_written(step):
                if self._pending.get(step.key) is step:
                    del self._pending[step.key]
            else:
                left.append(step)
        self.steps = left
        for key in self._stuck.keys() - before.keys():
            self._logger.error("acknowledged_object_not_in_place", key=key, reason=self._stuck[key].strerror)
        if sum(len(step.content or b"") for step in left) > self._limit:
            self.failure = self.failure or OSError(ENOSPC, "too much is in the way of others")

    def _absence(self) -> OSError | None:
        """Why the root is not there. What is entered from now on stays what it is until all is written."""
        try:
            self._root.require_present()
        except OSError as error:
            self._logger.error("acknowledged_objects_not_in_place", reason=error.strerror)
            return error
        return None

    def _is_written(self, step: Step) -> bool:
        try:
            self._root.apply(step)
        except OSError as error:
            if error.errno in IN_THE_WAY:
                self._stuck[step.key] = error
            else:
                self.failure = error
                self._logger.error("acknowledged_objects_not_in_place", key=step.key, reason=error.strerror)
            return False
        return True

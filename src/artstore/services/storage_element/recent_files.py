"""Remembers what the catalog said of the files that are read now, for as long as that is true."""

from typing import Final
from uuid import UUID

from artstore.services.storage_element.catalog_records import Committed

LIMIT: Final = 256
"""Files. Each takes a few kilobytes, and not much more than twice the largest sidecar."""


class RecentFiles:
    """A bounded memory: asking the catalog costs a hand-over to another thread, which is a large part of
    a small or ranged download.

    An answer that was under way while the file changed is not kept: whoever asks holds a question, and a
    change makes it void.
    """

    def __init__(self) -> None:
        self._known: dict[UUID, Committed] = {}
        self._questions: dict[UUID, object] = {}

    def get(self, file_id: UUID) -> Committed | None:
        """What is remembered."""
        return self._known.get(file_id)

    def ask(self, file_id: UUID) -> object:
        """A question to the catalog begins; of several about one file, the last one counts."""
        question = self._questions[file_id] = object()
        return question

    def answer(self, question: object, file_id: UUID, committed: Committed | None) -> None:
        """Remember the answer, unless the question is void or the answer is that there is no such file."""
        if self._questions.get(file_id) is not question:
            return
        del self._questions[file_id]
        if committed is not None:
            if len(self._known) >= LIMIT:
                del self._known[next(iter(self._known))]
            self._known[file_id] = committed

    def forget(self, file_id: UUID) -> None:
        """The file has changed."""
        self._known.pop(file_id, None)
        self._questions.pop(file_id, None)

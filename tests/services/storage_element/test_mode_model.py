"""Random operations, changes of mode and restarts on a real element, over HTTP, against a model of it."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from artstore.core.ids import new_file_id
from artstore.core.modes import MODE_TABLE, MODES, Mode, Operation, allowed_operations
from artstore.core.testing import issuer_server
from tests.services.storage_element.harness import (
    MINT,
    TEMPORARY,
    Answer,
    ElementClient,
    element_settings,
    running_element,
)
from tests.services.storage_element.modes import ask, confirm

T = TypeVar("T")
SIZES: Final = (0, 10, 70_000)
NOTHING: Final[MultipleResults[UUID]] = multiple()
WORDS: Final = st.sampled_from(["first", "second", "третий"])


@dataclass
class File:
    """What the model knows of a file; of a deleted one, that it is."""

    content: bytes
    description: str | None = None
    version: int = 1
    is_deleted: bool = False


class ElementMachine(RuleBasedStateMachine):
    """Does to an element and to the model the same, and compares what comes of it."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "edit"
        self.changes: list[str] = []
        self.model: dict[UUID, File] = {}
        self.element: ElementClient
        self._directory = TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._opened = AsyncExitStack()
        self._serving = AsyncExitStack()
        self._jwks_url = self._run(self._opened.enter_async_context(issuer_server(MINT))).jwks_url

    @initialize(mode=st.sampled_from(["edit", "rw", "rw", "rw"]))
    def begin(self, mode: Mode) -> None:
        self.mode = mode
        self._start(element={"mode": mode})

    @rule(target=files, size=st.sampled_from(SIZES), word=WORDS)
    def create(self, size: int, word: str) -> UUID | MultipleResults[UUID]:
        file_id, content = new_file_id(), (word.encode() * size)[:size]
        answer = self._run(self.element.put(content, file_id=file_id, **TEMPORARY))
        if self._is_refused("create", answer):
            return NOTHING
        assert answer.status == 201, answer
        self.model[file_id] = File(content)
        self.changes.append("create")
        return file_id

    @rule(file_id=files)
    def create_again(self, file_id: UUID) -> None:
        file = self.model[file_id]
        answer = self._run(self.element.put(file.content, file_id=file_id, **TEMPORARY))
        if not self._is_refused("create", answer):
            assert answer.status == (409 if file.is_deleted else 200), answer

    @rule(file_id=files)
    def read(self, file_id: UUID) -> None:
        answer = self._ask("GET", file_id, "/download")
        if self._is_gone(file_id, answer):
            return
        if "read" in MODE_TABLE[self.mode].operations:
            assert (answer.status, answer.body) == (200, self.model[file_id].content)
        else:
            assert (answer.status, answer.json()["status"]) == (202, "queued")

    @rule(file_id=files)
    def read_metadata(self, file_id: UUID) -> None:
        answer = self._ask("GET", file_id)
        if not self._is_gone(file_id, answer):
            file, said = self.model[file_id], answer.json()
            assert (said.get("description"), said["version"]) == (file.description, file.version)

    @rule(file_id=files, description=WORDS)
    def update(self, file_id: UUID, description: str) -> None:
        answer = self._ask("PATCH", file_id, json={"description": description})
        if self._is_refused("update", answer) or self._is_gone(file_id, answer):
            return
        assert answer.status == 200, answer
        file = self.model[file_id]
        file.description, file.version = description, file.version + 1
        self.changes.append("update")

    @rule(file_id=files)
    def delete(self, file_id: UUID) -> None:
        answer = self._ask("DELETE", file_id)
        if self._is_refused("delete", answer) or self._is_gone(file_id, answer):
            return
        assert answer.status == 200, answer
        self.model[file_id].is_deleted = True
        self.changes.append("delete")

    @rule(then_restart=st.booleans())
    def go_on(self, then_restart: bool) -> None:
        """To the next mode, if there is one."""
        for mode in MODE_TABLE[self.mode].next_modes[-1:]:
            plan = self._run(ask(self.element, mode)).json()
            done = self._run(confirm(self.element, plan, reopen=True))
            assert (done.status, done.json()["status"]) == (200, "confirmed")
            self.mode = mode
            self.changes.append("mode")
            if then_restart:
                self.restart()

    @rule(mode=st.sampled_from(MODES), is_confirmed=st.booleans())
    def change_mode(self, mode: Mode, is_confirmed: bool) -> None:
        answer = self._run(ask(self.element, mode))
        if mode not in MODE_TABLE[self.mode].next_modes:
            assert (answer.status, answer.problem) == (409, "mode-transition-not-allowed")
        elif is_confirmed:
            done = self._run(confirm(self.element, answer.json(), reopen=True))
            assert (done.status, done.json()["status"]) == (200, "confirmed")
            self.mode = mode
            self.changes.append("mode")
        else:
            assert answer.status == 200, answer

    @rule()
    def restart(self) -> None:
        self._run(self._serving.aclose())
        self._start()

    @invariant()
    def the_element_is_as_the_model_says(self) -> None:
        if not hasattr(self, "element"):
            return
        said = self._run(self.element.get("/api/v1/mode"))
        journal = self._run(self.element.get("/api/v1/journal", limit=1000))
        alive = {str(file_id) for file_id, file in self.model.items() if not file.is_deleted}
        assert said["mode"] == self.mode
        assert said["allowed_operations"] == list(allowed_operations(self.mode))
        assert set(self._run(self.element.file_ids())) == alive
        assert [entry["operation"] for entry in journal["items"]] == self.changes
        assert [entry["sequence"] for entry in journal["items"]] == list(range(1, len(self.changes) + 1))
        assert self._run(self.element.metric("artstore_element_wal_pending")) == 0

    def teardown(self) -> None:
        self._run(self._serving.aclose())
        self._run(self._opened.aclose())
        self._runner.close()
        self._directory.cleanup()

    def _start(self, **sections: Any) -> None:
        data = element_settings(Path(self._directory.name), jwks_url=self._jwks_url, **sections)
        self.element = self._run(self._serving.enter_async_context(running_element(data)))

    def _ask(self, method: str, file_id: UUID, rest: str = "", **arguments: Any) -> Answer:
        return self._run(self.element.request(method, f"/api/v1/files/{file_id}{rest}", **arguments))

    def _is_refused(self, operation: Operation, answer: Answer) -> bool:
        """Whether the mode does not allow it; then the answer has to say so."""
        if operation in MODE_TABLE[self.mode].operations:
            return False
        assert (answer.status, answer.problem) == (409, "mode-not-allowed")
        assert f"mode {self.mode}, which does not allow {operation}" in answer.json()["detail"]
        return True

    def _is_gone(self, file_id: UUID, answer: Answer) -> bool:
        if self.model[file_id].is_deleted:
            assert (answer.status, answer.problem) == (404, "not-found")
        return self.model[file_id].is_deleted

    def _run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return self._runner.run(wait())


def explore(examples: int, steps: int) -> None:
    """A failure is told as it was found: to make it smaller would take minutes, each step being real."""
    run_state_machine_as_test(
        ElementMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_an_element_does_what_the_model_says() -> None:
    explore(examples=6, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_element_does_what_the_model_says_for_long() -> None:
    explore(examples=60, steps=50)

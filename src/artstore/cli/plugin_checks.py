"""Runs the storage contract on a back end in use: the tests that authors run, with a report for operators.

The contract is made of pytest classes, so pytest runs it, with nothing of its own to be seen.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, redirect_stdout, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from artstore.cli.local_files import printable
from artstore.cli.output import LINE_WIDTH, console, print_json
from artstore.cli.plugin_info import PluginInfo, StorageOpener
from artstore.core.spec import ConfigurationError, StorageBackend

CHECKS: Final = "artstore.core.testing.storage.checks"
NEEDED: Final = ("pytest", "pytest_asyncio", "pytest_timeout")
LONGEST_REASON: Final = 300
PATIENCE: Final = 600
"""Seconds for one check: a service that is slow may need minutes for a thousand objects, but not for ever."""


class CheckOutcome(BaseModel):
    """One thing that a back end must do, and whether it did."""

    name: str
    outcome: Literal["passed", "failed"]
    reason: str | None = None
    seconds: float


class CheckReport(BaseModel):
    """A whole check of one back end."""

    plugin: str
    distribution: str
    version: str
    capabilities: list[str]
    keeps_contract: bool
    passed: int
    failed: int
    left_over: list[str]
    checks: list[CheckOutcome]


def run_checks(plugin: PluginInfo, opener: StorageOpener, *, json: bool) -> bool:
    """Check, print a line for each check and a summary; whether the back end keeps its contract.

    Raises:
        ConfigurationError: pytest is not installed, or the back end cannot be opened.
    """
    _require_pytest()
    capabilities = asyncio.run(opener.capabilities())
    prefix = f"artstore-check/{uuid4()}/"
    try:
        outcomes = _run(opener, prefix, capabilities, show=not json)
    finally:
        left_over = asyncio.run(_clean_up(opener, prefix))
    failed = sum(outcome.outcome == "failed" for outcome in outcomes)
    report = CheckReport(
        plugin=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        capabilities=capabilities,
        keeps_contract=not failed,
        passed=len(outcomes) - failed,
        failed=failed,
        left_over=left_over,
        checks=outcomes,
    )
    print_json(report) if json else _print_summary(report)
    return report.keeps_contract


def _require_pytest() -> None:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigurationError(
            f"the checks need {missing[0].replace('_', '-')}: install it with pip install 'artstore[test]'"
        )


def _run(
    opener: StorageOpener, prefix: str, capabilities: Sequence[str], *, show: bool
) -> list[CheckOutcome]:
    import pytest

    classes = ["TestBehaviour", "TestBodies"]
    classes += ["TestBatches"] if "atomic_batch" in capabilities else []
    classes += ["TestUrls"] if "presigner" in capabilities else []

    class Fixtures:
        """What the module of checks asks for."""

        @pytest.fixture(scope="session")
        def open_storage(self) -> Callable[[], AbstractAsyncContextManager[StorageBackend]]:
            return opener.open

        @pytest.fixture(scope="session")
        def scratch_prefix(self) -> str:
            return prefix

    arguments = [*(f"{CHECKS}::{name}" for name in classes), *_arguments()]
    with (
        pytest.MonkeyPatch.context() as environment,
        _Observer(show=show) as observer,
        redirect_stdout(StringIO()) as said,
    ):
        # Where pytest believes to run for CI, it compares large bodies that differ line by line: for minutes.
        for name in ("CI", "BUILD_NUMBER"):
            environment.delenv(name, raising=False)
        code = pytest.main(arguments, plugins=[Fixtures(), observer])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not observer.outcomes:
        *_, last = ["nothing", *said.getvalue().split("\n\n")]
        raise ConfigurationError(f"the checks could not be run; pytest says: {' '.join(last.split())}")
    return observer.outcomes


def _arguments() -> list[str]:
    """Pytest without what the working directory and other plugins would make of it."""
    options = (
        "asyncio_mode=auto",
        "asyncio_default_fixture_loop_scope=session",
        "asyncio_default_test_loop_scope=session",
        f"timeout={PATIENCE}",
    )
    return [
        "--pyargs",
        "--noconftest",
        f"--config-file={os.devnull}",
        f"--rootdir={Path.cwd()}",
        "--import-mode=importlib",
        "--disable-plugin-autoload",
        *("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"),
        *("-p", "no:cacheprovider"),
        *("-k", "not what_its_author_declares"),
        *(word for option in options for word in ("-o", option)),
    ]


class _Observer:
    """Hears of each check when it has ended, and shows a line for it past pytest's capture of the output."""

    def __init__(self, *, show: bool) -> None:
        self.outcomes: list[CheckOutcome] = []
        self._show = show

    def __enter__(self) -> "_Observer":
        self._output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        self._console = Console(file=self._output, highlight=False, soft_wrap=True, width=LINE_WIDTH)
        self._handler = signal.getsignal(signal.SIGINT)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self._handler)
        self._output.close()

    def pytest_sessionstart(self, session: Any) -> None:
        """From here on, Ctrl-C waits for the check under way, which might leave something; twice does not."""

        def break_off(*_signal: object) -> None:
            session.shouldstop = "broken off"
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, break_off)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.failed:
            outcome = CheckOutcome(
                name=_sentence(report.nodeid),
                outcome="passed" if report.passed else "failed",
                reason=None if report.passed else _reason(report.longrepr),
                seconds=round(report.duration, 3),
            )
            self.outcomes.append(outcome)
            if self._show:
                self._console.print(_line(outcome))


def _sentence(node_id: str) -> str:
    """``…::test_a_range_spans_chunks[x]`` as people say it."""
    name, bracket, parameters = node_id.rpartition("::")[2].partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f" [{parameters}" if bracket else "")


def _reason(failure: Any) -> str:
    """The first line of why a check failed."""
    crash = getattr(failure, "reprcrash", None)
    message = str(failure) if crash is None else crash.message
    return " ".join(message.splitlines()[:1])[:LONGEST_REASON]


def _line(outcome: CheckOutcome) -> str:
    name = escape(printable(outcome.name))
    if outcome.outcome == "passed":
        return f"[green]passed[/green]  {name}"
    return f"[red]FAILED[/red]  {name}: {escape(printable(outcome.reason or ''))}"


def _print_summary(report: CheckReport) -> None:
    console.print(f"\n{report.plugin} ({report.distribution} {report.version})", markup=False)
    console.print(f"capabilities: {', '.join(report.capabilities) or 'none'}", markup=False)
    for needed in {"atomic_put", "durable_put"}.difference(report.capabilities):
        console.print(f"  without {needed}: {_CONSEQUENCES[needed]}", markup=False)
    for key in report.left_over:
        console.print(f"left over, remove it yourself: {printable(key)}", markup=False)
    verdict = (
        "it keeps its contract" if report.keeps_contract else "it does NOT keep its contract: do not use it"
    )
    console.print(f"{report.passed} passed, {report.failed} failed: {verdict}", markup=False)


_CONSEQUENCES: Final = {
    "atomic_put": "no storage element starts on it",
    "durable_put": "what a storage element acknowledges on it may be lost",
}


async def _clean_up(opener: StorageOpener, prefix: str) -> list[str]:
    """Remove what checks that failed have left, and the directories where objects are files.

    The keys that resist; the prefix where they cannot even be listed.
    """
    async with opener.open() as storage:
        try:
            # A back end that does not know prefixes lists what is not ours.
            ours = [info.key async for info in storage.list(prefix) if info.key.startswith(prefix)]
        except Exception:  # whatever it is, what has been found out about the back end must still be told
            return [prefix]
        left_over = [key for key in ours if not await _is_deleted(storage, key)]
        if (paths := storage.capabilities.local_paths) is not None:
            await asyncio.to_thread(_remove_directories, paths.path(prefix.rstrip("/")))
    return left_over


async def _is_deleted(storage: StorageBackend, key: str) -> bool:
    try:
        await storage.delete(key)
    except Exception:  # as above
        return False
    return True


def _remove_directories(path: Path) -> None:
    """Empty ones only, and the one that all checks share unless another check is running."""
    for directory, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(directory)
    with suppress(OSError):
        path.parent.rmdir()

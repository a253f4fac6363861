"""Which event loop a role runs on."""

import asyncio
import sys

import pytest
import uvloop

from artstore.cli.event_loop import loop_factory, run
from artstore.core.config import RoleName


@pytest.mark.parametrize("role", ["admin", "ingester"])
def test_a_role_that_sends_no_files_to_clients_runs_on_uvloop(role: RoleName) -> None:
    assert loop_factory([role]) is uvloop.new_event_loop


@pytest.mark.parametrize("roles", [["element"], ["query"], ["admin", "element"]])
def test_who_sends_files_runs_on_the_stock_loop(roles: list[RoleName]) -> None:
    assert loop_factory(roles) is None


def test_without_uvloop_every_role_runs_on_the_stock_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert loop_factory(["admin"]) is None


def test_what_is_run_runs_on_the_loop_of_its_roles() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())

    run(main(), roles=["admin"])
    run(main(), roles=["element"])

    assert [isinstance(loop, uvloop.Loop) for loop in loops] == [True, False]

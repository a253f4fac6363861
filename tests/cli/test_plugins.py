"""`artstore plugins` and `artstore plugins check`: what is installed, and whether it keeps its contract."""

import asyncio
import hashlib
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from artstore.core.testing import plugin_context
from artstore.plugins.storage_local.plugin import LocalConfig, open_local
from tests.cli.commands import failure
from tests.cluster import artstore, run_artstore

CAPABILITIES = "atomic_batch, atomic_put, durable_put, exclusive_use, local_paths, strangers"
"""Of the storage that `init` configures."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as `init` makes it."""
    made = tmp_path_factory.mktemp("made") / "made"
    run_artstore("init", str(made))
    return made


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Path:
    """A configuration file of each test."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made" / "artstore.toml"


@pytest.fixture
def root(config: Path) -> Path:
    """A storage root in which somebody's objects are already."""
    root = config.parent / "storage"
    (root / "2026").mkdir(parents=True)
    (root / "2026/somebody's").write_bytes(b"precious")
    return root


@pytest.fixture
def liar(tmp_path: Path) -> dict[str, str]:
    """An environment in which a distribution with the plugin `storage_liar` is installed."""
    info = tmp_path / "site" / "dist_liar-6.6.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-liar\nVersion: 6.6\n")
    (info / "entry_points.txt").write_text("[artstore]\nstorage_liar = liar_plugin\n")
    shutil.copy(Path(__file__).with_name("liar.py"), tmp_path / "site" / "liar_plugin.py")
    return {"PYTHONPATH": str(tmp_path / "site")}


def digest(root: Path) -> dict[str, str]:
    """Every file but those of the working area, and every directory."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in root.rglob("*")
        if ".artstore" not in path.parts
    }


def listed(*arguments: str, **options: Any) -> dict[str, dict[str, Any]]:
    completed = run_artstore("plugins", "--json", *arguments, **options)
    return {plugin["name"]: plugin for plugin in json.loads(completed.stdout)}


def test_plugins_are_listed_with_those_that_are_enabled_and_their_options(config: Path) -> None:
    plugins = listed("--config", str(config))

    assert plugins["storage_local"]["enabled"]
    assert plugins["storage_local"]["options"] == ["root", "threads", "commit_log_size"]
    assert "root" in plugins["storage_local"]["config_schema"]["properties"]
    assert "capabilities" not in plugins["storage_local"]
    assert not (config.parent / "storage").exists()


def test_a_plugin_that_is_not_enabled_is_not_imported(
    config: Path, tmp_path: Path, liar: dict[str, str]
) -> None:
    (tmp_path / "site" / "liar_plugin.py").write_text("raise SystemExit('imported')")

    plugin = listed("--config", str(config), environment=liar)["storage_liar"]

    assert plugin == {
        "name": "storage_liar", "distribution": "dist-liar", "version": "6.6", "enabled": False
    }  # fmt: skip


def test_an_enabled_plugin_that_cannot_be_imported_is_listed_with_the_reason(
    config: Path, tmp_path: Path, liar: dict[str, str]
) -> None:
    (tmp_path / "site" / "liar_plugin.py").write_text("import what_nobody_has")
    environment = {**liar, "ARTSTORE__STORAGE": '{type = "liar"}'}

    shown = run_artstore("plugins", "--config", str(config), environment=environment)

    assert "storage_liar: plugin storage_liar cannot be loaded" in shown.stdout
    assert "what_nobody_has" in shown.stdout


def test_what_the_configured_storage_can_do_is_asked_for_on_request(config: Path) -> None:
    shown = run_artstore("plugins", "--config", str(config), "--capabilities")

    assert CAPABILITIES in shown.stdout


def test_a_back_end_that_keeps_its_contract_is_told_so_and_nothing_is_left(config: Path, root: Path) -> None:
    before = digest(root)

    completed = run_artstore("plugins", "check", "storage_local", "--config", str(config))

    *checks, _, plugin, capabilities, verdict = completed.stdout.splitlines()
    assert len(checks) > 100
    assert all(line.startswith("passed  ") for line in checks)
    assert "passed  a range spans chunks" in checks
    assert "passed  a batch replaces what was there" in checks
    assert plugin.startswith("storage_local (artstore ")
    assert capabilities == f"capabilities: {CAPABILITIES}"
    assert verdict == f"{len(checks)} passed, 0 failed: it keeps its contract"
    assert digest(root) == before


@pytest.mark.timeout(600)
def test_a_back_end_that_ignores_what_it_must_honour_is_refused(
    config: Path, root: Path, liar: dict[str, str]
) -> None:
    before = digest(root)
    environment = {**liar, "ARTSTORE__STORAGE": f'{{type = "liar", root = "{root}"}}'}
    arguments = ("plugins", "check", "storage_liar", "--config", str(config), "--json")

    completed = run_artstore(*arguments, check=False, environment=environment)

    report = json.loads(completed.stdout)
    failed = {check["name"]: check["reason"] for check in report["checks"] if check["outcome"] == "failed"}
    assert completed.returncode == 1
    assert not report["keeps_contract"]
    assert (report["plugin"], report["distribution"], report["version"]) == (
        "storage_liar",
        "dist-liar",
        "6.6",
    )
    assert report["failed"] == len(failed) > 0
    assert report["passed"] + report["failed"] == len(report["checks"])
    assert "ChecksumMismatchError" in failed["a wrong digest stores nothing [small]"]
    assert "IncompleteBodyError" in failed["a body of another size stores nothing [1]"]
    assert "b'0123456789'" in failed["a range is given and cut at the end [3-6]"]
    assert "keys are listed in the order of their bytes" not in failed
    assert (report["left_over"], digest(root)) == ([], before)


def test_a_check_that_is_broken_off_leaves_nothing(config: Path, root: Path) -> None:
    before = digest(root)
    check = subprocess.Popen(
        [artstore(), "plugins", "check", "storage_local", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert check.stdout is not None
    for line in check.stdout:
        if "a long listing has every key once" in line:
            check.send_signal(signal.SIGINT)
            break
    _, told = check.communicate(timeout=60)

    assert (check.returncode, told) == (130, "")
    assert digest(root) == before


def test_a_back_end_that_cannot_be_opened_is_told_in_one_line(
    config: Path, tmp_path: Path, liar: dict[str, str]
) -> None:
    plugin = tmp_path / "site" / "liar_plugin.py"
    plugin.write_text(plugin.read_text().replace("        storage.__class__ = Liar", "        1 / 0"))
    environment = {**liar, "ARTSTORE__STORAGE": f'{{type = "liar", root = "{tmp_path / "root"}"}}'}
    arguments = ("plugins", "check", "storage_liar", "--config", str(config))

    told = failure(run_artstore(*arguments, check=False, environment=environment), code=2)

    assert "storage_liar cannot be opened: ZeroDivisionError: division by zero" in told


async def test_a_back_end_that_somebody_else_holds_is_told(config: Path, root: Path) -> None:
    check = ("plugins", "check", "storage_local", "--config", str(config))

    async with open_local(LocalConfig(root=root), plugin_context("storage_local")):
        told = await asyncio.to_thread(lambda: failure(run_artstore(*check, check=False), code=2))
        found = await asyncio.to_thread(lambda: listed("--config", str(config), "--capabilities"))

    assert "is in use by another process" in told
    assert "is in use by another process" in found["storage_local"]["problem"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cache_memory", "cache_memory is no storage: only storage can be checked in place"),
        ("storage_tape", "plugin storage_tape is not installed"),
        ("storage_memory", "has type local, not memory: change it, or check storage_local"),
    ],
)
def test_what_cannot_be_checked_is_told_in_one_line(config: Path, name: str, told: str) -> None:
    completed = run_artstore("plugins", "check", name, "--config", str(config), check=False)

    assert told in failure(completed, code=2)


def test_without_pytest_the_extra_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pytest'] = None\n")
    arguments = ("plugins", "check", "storage_local", "--config", str(config))

    completed = run_artstore(*arguments, check=False, environment={"PYTHONPATH": str(tmp_path)})

    assert "pip install 'artstore[test]'" in failure(completed, code=2)

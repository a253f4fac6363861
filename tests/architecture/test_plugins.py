"""Our plugins are made as anyone else's: one name in every place, nothing imported before it is needed."""

import subprocess
import sys
from typing import Final

import pytest

from artstore.core.registry import KINDS
from tests.architecture.repository import PLUGINS, bundled_plugins, setup_cfg

FOREIGN_MODULES: Final = """
import sys
import artstore.core.spec
known = set(sys.modules)
import artstore.plugins.{plugin}.plugin
new = {{name.partition(".")[0] for name in sys.modules.keys() - known}} - {{"artstore"}}
print(*sorted((new - sys.stdlib_module_names) | (new & {{"sqlite3", "http", "urllib"}})))
"""
"""Prints what a plugin imports beyond the plugin API; of the standard library, what speaks to a back end."""


@pytest.mark.parametrize("plugin", bundled_plugins())
def test_a_plugin_has_one_name_in_every_place(plugin: str) -> None:
    cfg = setup_cfg()
    entry_points = dict(
        line.split(" = ") for line in cfg["options.entry_points"]["artstore"].strip().splitlines()
    )

    assert entry_points[plugin] == f"artstore.plugins.{plugin}.plugin"
    assert plugin in cfg["options.extras_require"]
    assert plugin.partition("_")[0] in {kind.name for kind in KINDS}
    assert (PLUGINS / plugin / "README.md").read_text().startswith(f"# {plugin}\n")


def test_every_entry_point_is_a_plugin() -> None:
    entry_points = setup_cfg()["options.entry_points"]["artstore"].strip().splitlines()

    assert sorted(line.split(" = ")[0] for line in entry_points) == bundled_plugins()


@pytest.mark.parametrize("plugin", bundled_plugins())
def test_importing_a_plugin_imports_no_sdk(plugin: str) -> None:
    imported = subprocess.run(
        [sys.executable, "-c", FOREIGN_MODULES.format(plugin=plugin)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert imported.stdout.split() == []

"""DNS rebinding: a name that means another address when it is connected to than when it was looked at."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.attacks.rebinding import ALLOWED, INSIDE

IN_OWN_NETWORK: Final = ("unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-ec")
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each name, in a network of its own."""
    data = tmp_path_factory.mktemp("data")
    name_server = data.with_name("resolv.conf")
    name_server.write_text("nameserver 127.0.0.1\n")
    mount = f"mount --bind {name_server} /etc/resolv.conf"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*IN_OWN_NETWORK, mount], check=False, capture_output=True).returncode
    ):
        pytest.skip("this machine allows no networks in user namespaces")
    script = f'{mount}; exec "$@"'
    command = [sys.executable, "-m", "tests.attacks.rebinding", str(data)]
    completed = subprocess.run(
        [*IN_OWN_NETWORK, script, "sh", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    said: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return said


def test_a_name_that_leads_inside_once_it_was_found_good_leads_nowhere(found: dict[str, Any]) -> None:
    assert found["good-first.example"]["visits"] == [ALLOWED]


def test_a_name_that_is_found_good_after_it_has_led_inside_leads_nowhere(found: dict[str, Any]) -> None:
    assert found["bad-first.example"]["answers"][0] == 400
    assert INSIDE not in found["bad-first.example"]["visits"]

"""DNS rebinding: a name that means another address when it is connected to than when it was looked at."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.attacks.rebinding import ALLOWED

INSIDE: Final = "127.0.0.1"
IN_OWN_NETWORK: Final = ("unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-ec")
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def name_server(tmp_path: Path) -> Path:
    """Who is asked for names: a file like /etc/resolv.conf."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    command = [*IN_OWN_NETWORK, f"mount --bind {path} /etc/resolv.conf"]
    if shutil.which("unshare") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this machine allows no networks in user namespaces")
    return path


def attack(name_server: Path, first: str, later: str) -> dict[str, Any]:
    """What becomes of it, in a network of its own."""
    script = f'mount --bind {name_server} /etc/resolv.conf; exec "$@"'
    data = name_server.parent / "data"
    data.mkdir()
    command = [sys.executable, "-m", "tests.attacks.rebinding", str(data), first, later]
    completed = subprocess.run(
        [*IN_OWN_NETWORK, script, "sh", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    found: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return found


def test_a_name_that_leads_inside_once_it_was_found_good_leads_nowhere(name_server: Path) -> None:
    found = attack(name_server, ALLOWED, INSIDE)

    assert found["visits"] == [ALLOWED]


def test_a_name_that_is_found_good_after_it_has_led_inside_leads_nowhere(name_server: Path) -> None:
    found = attack(name_server, INSIDE, ALLOWED)

    assert found["answers"][0] == 400
    assert INSIDE not in found["visits"]

"""People log in from the command line, and commands are then theirs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.commands import failure
from tests.cli.somebody import Somebody
from tests.cluster import Cluster, artstore, request, running_cluster

PASSWORD = "Wet-Cabbage7-orbit"
SUPER = "Old-Parsnip3-nebula"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose first person has chosen a password."""
    with running_cluster(tmp_path_factory.mktemp("login") / "data") as cluster:
        first = (cluster.data / "secrets/admin-password").read_text()
        change = {"username": "admin", "password": first, "new_password": SUPER}
        answer = cluster.request("admin", "POST", "/api/v1/admin-auth/change-password", json_body=change)
        assert answer.status == 204
        yield cluster


@pytest.fixture
def somebody(tmp_path: Path, cluster: Cluster) -> Somebody:
    (home := tmp_path / "home").mkdir()
    return Somebody(home, cluster)


def test_whoever_logs_in_is_who_the_commands_are_until_they_log_out(somebody: Somebody) -> None:
    somebody.log_in("admin", SUPER)
    token = json.loads(somebody.login_file.read_text())["access_token"]

    who = json.loads(somebody.succeed("whoami", "--json"))
    somebody.succeed("logout")

    assert (who["name"], who["type"], who["role"]) == ("admin", "admin_user", "super_admin")
    assert "no cluster is named" in failure(somebody.run("whoami"), code=2)
    assert not somebody.login_file.exists()
    after = request(
        "GET",
        somebody.cluster.url("admin", "/api/v1/admin-auth/me"),
        headers={"Authorization": f"Bearer {token}"},
    )
    assert after.status == 401


def test_a_login_is_kept_where_nobody_else_can_read_it(somebody: Somebody) -> None:
    somebody.log_in("admin", SUPER)

    assert somebody.login_file.stat().st_mode & 0o777 == 0o600
    assert somebody.login_file.parent.stat().st_mode & 0o777 == 0o700
    assert SUPER not in somebody.login_file.read_text()
    somebody.login_file.chmod(0o644)
    assert "others can read it" in failure(somebody.run("whoami"), code=2)


def test_commands_that_refresh_at_once_do_not_log_each_other_out(somebody: Somebody) -> None:
    somebody.log_in("admin", SUPER)
    somebody.let_the_token_grow_old()

    with ThreadPoolExecutor(4) as threads:
        completed = list(threads.map(somebody.run, ["ls"] * 4))

    assert [each.returncode for each in completed] == [0] * 4
    somebody.succeed("whoami")


def test_a_login_that_has_ended_elsewhere_is_told(somebody: Somebody) -> None:
    somebody.log_in("admin", SUPER)
    somebody.let_the_token_grow_old()
    login = json.loads(somebody.login_file.read_text())
    refresh = json.dumps({"refresh_token": login["refresh_token"]}).encode()
    url = somebody.cluster.url("admin", "/api/v1/admin-auth/refresh")
    request("POST", url, body=refresh, headers={"Content-Type": "application/json"})

    assert "log in again" in failure(somebody.run("ls"), code=1)
    assert somebody.succeed("logout") == "logged out\n"


def test_a_wrong_password_and_a_missing_one_are_told(somebody: Somebody) -> None:
    url = somebody.cluster.url("admin")

    wrong = somebody.run("login", url, "-u", "nobody", "--password-stdin", typed="wrong\n")
    missing = somebody.run("login", url, "-u", "nobody", "--password-stdin")
    nowhere = somebody.run("login", "ftp://archive", "-u", "nobody", "--password-stdin", typed="wrong\n")

    assert "name or password are not right" in failure(wrong, code=1)
    assert "standard input has no line for: Password" in failure(missing, code=2)
    assert "should begin with http" in failure(nowhere, code=2)


def test_people_are_managed_by_whoever_is_logged_in(somebody: Somebody) -> None:
    somebody.log_in("admin", SUPER)

    made = json.loads(somebody.succeed("user", "create", "boris", "--role", "admin", "--json"))
    listed = somebody.succeed("user", "list", "--search", "bor")
    updated = somebody.succeed(
        "user", "update", "BORIS", "--role", "readonly", "--email", "b@archive.example"
    )
    reset = json.loads(somebody.succeed("user", "reset-password", "boris", "--json"))
    unlocked = somebody.succeed("user", "unlock", "boris")
    shown = json.loads(somebody.succeed("user", "show", made["id"], "--json"))
    refused = somebody.run("user", "update", "admin", "--disable")
    deleted = somebody.succeed("user", "delete", "boris", "--yes")

    assert "password to be changed" in listed
    assert updated == "boris: readonly, password to be changed\n"
    assert made["password"] != reset["password"]
    assert (shown["role"], shown["email"], shown["enabled"]) == ("readonly", "b@archive.example", True)
    assert unlocked == "unlocked boris\n"
    assert "last super_admin" in failure(refused, code=1)
    assert deleted == "deleted boris\n"
    assert "there is no user boris" in failure(somebody.run("user", "show", "boris"), code=1)


def test_a_first_login_asks_for_another_password(somebody: Somebody) -> None:
    made = json.loads(somebody.cluster.command("user", "create", "carla", "--json").stdout)

    printed = at_a_terminal(
        somebody,
        "login",
        somebody.cluster.url("admin"),
        typed=["carla", made["password"], PASSWORD, PASSWORD],
    )

    assert "The password has to be changed." in printed
    assert "logged in as carla" in printed
    assert made["password"] not in printed
    assert PASSWORD not in printed
    assert somebody.succeed("whoami").startswith("carla (person, readonly)")
    changed = somebody.succeed("change-password", "--password-stdin", typed=f"{PASSWORD}\n{SUPER}\n")
    assert "log in again" in changed
    assert "log in again" in failure(somebody.run("ls"), code=1)


def at_a_terminal(somebody: Somebody, *arguments: str, typed: list[str]) -> str:
    """What somebody sees who types a line at every prompt, which has to come within the time of a test."""
    # A process of its own: hidden input needs a terminal that is its session's.
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    with subprocess.Popen(
        [sys.executable, "-c", terminal, artstore(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=somebody.environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        for line in typed:
            while not seen.endswith(b": "):
                byte = process.stdout.read(1)
                assert byte, seen.decode()
                seen += byte
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            seen += b"\n"
        seen += process.stdout.read()
    assert process.returncode == 0, seen.decode()
    return seen.decode()


def test_the_first_start_names_the_first_login_and_puts_no_password_into_a_log(cluster: Cluster) -> None:
    log = cluster.log.read_text()

    assert "First login: admin, the secret admin-password has the password" in log
    assert (cluster.data / "secrets/admin-password").read_text() not in log

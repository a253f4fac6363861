"""How a command finds its cluster, and what it says when it cannot use it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import failure
from tests.cluster import Cluster, artstore, free_base_port, run_artstore


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home directory, in which nothing is configured."""
    (home := tmp_path / "home").mkdir()
    return home


def run(
    *arguments: str, home: Path, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The command line, with nothing in its environment but what is given."""
    return subprocess.run(
        [artstore(), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), **(environment or {})},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def environment_of(cluster: Cluster) -> dict[str, str]:
    client_id, secret = cluster.credentials()
    return {
        "ARTSTORE_URL": cluster.url("admin"),
        "ARTSTORE_CLIENT_ID": client_id,
        "ARTSTORE_CLIENT_SECRET": secret,
    }


def write_profile(home: Path, cluster: Cluster, *, name: str = "default", mode: int = 0o600) -> Path:
    client_id, secret = cluster.credentials()
    path = home / ".config" / "artstore" / "profiles.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'[{name}]\nurl = "{cluster.url("admin")}/"\nclient_id = "{client_id}"\nclient_secret = "{secret}"\n'
    )
    path.chmod(mode)
    return path


def test_without_any_cluster_it_says_how_to_name_one(home: Path) -> None:
    told = failure(run("ls", home=home), code=2)

    for way in ("--data", "--profile", "ARTSTORE_URL"):
        assert way in told


def test_a_data_directory_that_is_none_is_told(home: Path) -> None:
    (home / "file").touch()

    missing = run("ls", "--data", "missing", home=home)
    no_folder = run("ls", "--data", "file", home=home)

    assert "missing" in failure(missing, code=2)
    assert "file" in failure(no_folder, code=2)


def test_a_cluster_that_is_down_is_told_once(home: Path) -> None:
    port = free_base_port()
    (folder := home / "folder").mkdir()
    for number in range(20):
        (folder / str(number)).touch()
    run("init", "down", "--base-port", str(port), home=home)
    (home / "down" / "secrets").mkdir(mode=0o700)
    (secret := home / "down" / "secrets" / "client-administrator").write_text("id:secret")
    secret.chmod(0o600)

    for command in (["put", "-r", str(folder)], ["verify", "-r", str(folder)], ["info"]):
        completed = run(*command, "--data", "down", home=home)

        assert f"http://127.0.0.1:{port}" in failure(completed, code=1)


def test_a_cluster_that_never_started_is_told(home: Path) -> None:
    run("init", "new", home=home)

    completed = run("ls", "--data", "new", home=home)

    assert "artstore up --data new" in failure(completed, code=2)


def test_credentials_come_from_the_environment(cluster: Cluster, home: Path) -> None:
    completed = run("info", "--json", home=home, environment=environment_of(cluster))

    assert json.loads(completed.stdout)["endpoints"]["admin"] == cluster.url("admin")


def test_the_data_directory_may_come_from_the_environment(cluster: Cluster, home: Path) -> None:
    completed = run("ls", "--json", home=home, environment={"ARTSTORE_DATA": str(cluster.data)})

    assert "items" in json.loads(completed.stdout)


def test_an_environment_without_credentials_is_told(home: Path) -> None:
    completed = run("ls", home=home, environment={"ARTSTORE_URL": "http://127.0.0.1:1"})

    assert "ARTSTORE_CLIENT_ID" in failure(completed, code=2)


def test_wrong_credentials_are_told_once_and_not_repeated(cluster: Cluster, home: Path) -> None:
    (home / "file").touch()
    wrong = {**environment_of(cluster), "ARTSTORE_CLIENT_SECRET": "ars_wrong"}

    completed = run("put", "file", home=home, environment=wrong)

    told = failure(completed, code=1)
    assert "refused our credentials" in told
    assert cluster.url("admin") in told
    assert "ars_wrong" not in told


@pytest.mark.parametrize(("url", "code"), [("nonsense", 2), ("http://[", 2), ("ftp://127.0.0.1", 2)])
def test_a_url_that_is_none_is_told(home: Path, url: str, code: int) -> None:
    environment = {"ARTSTORE_URL": url, "ARTSTORE_CLIENT_ID": "a", "ARTSTORE_CLIENT_SECRET": "b"}

    completed = run("ls", home=home, environment=environment)

    assert url in failure(completed, code=code)


def test_credentials_come_from_a_profile(cluster: Cluster, home: Path) -> None:
    write_profile(home, cluster)

    by_default = run("ls", "--json", home=home)
    by_name = run("ls", "--json", "--profile", "default", home=home)
    by_environment = run("ls", "--json", home=home, environment={"ARTSTORE_PROFILE": "default"})

    for completed in (by_default, by_name, by_environment):
        assert "items" in json.loads(completed.stdout), completed.stderr


def test_an_unknown_profile_is_told_with_those_there_are(cluster: Cluster, home: Path) -> None:
    write_profile(home, cluster, name="work")

    completed = run("ls", "--profile", "home", home=home)

    assert "no section [home]; it has: work" in failure(completed, code=2)


def test_profiles_that_others_can_read_are_refused(cluster: Cluster, home: Path) -> None:
    path = write_profile(home, cluster, mode=0o644)

    completed = run("ls", home=home)

    assert f"chmod 600 {path}" in failure(completed, code=2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[default", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        (b'[default]\nurl = "http://127.0.0.1:1"\nclient_id = "a"\nsecret = "hidden"\n', "client_secret"),
        (b'default = "hidden"', "[default]"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told(home: Path, text: bytes, told: str) -> None:
    path = home / ".config" / "artstore" / "profiles.toml"
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    path.chmod(0o600)

    line = failure(run("ls", home=home), code=2)

    assert told in line
    assert "hidden" not in line


@pytest.mark.parametrize(
    ("url", "client_id", "told"),
    [
        ("127.0.0.1:8000", "a", "the URL 127.0.0.1:8000 should begin with http:// or https://"),
        ("http://127.0.0.1:8000", "a:b", "a client id has no colon"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told(url: str, client_id: str, told: str) -> None:
    environment = {
        "ARTSTORE_URL": url,
        "ARTSTORE_CLIENT_ID": client_id,
        "ARTSTORE_CLIENT_SECRET": "x",
    }

    completed = run_artstore("ls", environment=environment, check=False)

    assert told in failure(completed, code=2)

"""`artstore element mode`: shows what would happen, asks, and does it."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.commands import failure
from tests.cluster import Cluster, artstore, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose element is in mode ``rw``."""
    data = tmp_path_factory.mktemp("cluster") / "data"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ARTSTORE__ELEMENT__MODE", "rw")
        with running_cluster(data) as cluster:
            yield cluster


def mode_of(cluster: Cluster) -> str:
    return str(cluster.request("element", "GET", "/api/v1/mode").json()["mode"])


def asked(cluster: Cluster, answer: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command with a person who answers its question."""
    return subprocess.run(
        [artstore(), "element", "mode", *arguments, "--data", str(cluster.data)],
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_mode_is_shown_changed_after_a_yes_and_brought_back_with_a_word(cluster: Cluster) -> None:
    refused = asked(cluster, "n\n", "ro")
    after_no = mode_of(cluster)
    agreed = asked(cluster, "y\n", "ro", "--reason", "the year is complete")
    shown = cluster.command("element", "mode").stdout
    without_word = cluster.command("element", "mode", "rw", "--yes", check=False)
    back = cluster.command("element", "mode", "rw", "--yes", "--reopen", "--json")

    assert refused.returncode == 1
    assert "ends create, update" in refused.stderr
    assert after_no == "rw"
    assert (agreed.returncode, agreed.stdout.strip()) == (0, "storage element se-01 is in mode ro")
    assert "is in mode ro and can go to ar, rw" in shown
    assert "the year is complete" in shown
    assert without_word.returncode == 2
    assert "--reopen" in without_word.stderr
    assert json.loads(back.stdout)["to_mode"] == "rw"
    assert mode_of(cluster) == "rw"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["ar"], 1, "cannot go from mode rw to ar"),
        (["worm"], 2, "mode: "),
        (["ro", "--element", "se-09"], 1, "there is no storage element se-09"),
    ],
)
def test_a_change_that_cannot_be_made_is_told_in_one_line(
    cluster: Cluster, arguments: list[str], code: int, told: str
) -> None:
    completed = cluster.command("element", "mode", *arguments, "--yes", check=False)

    assert told in failure(completed, code=code)

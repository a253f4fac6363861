"""`artstore search`, `ls`, `info`, `get`, `rm`, `service-account`: answers for people and for programs."""

import json
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from tests.cli.commands import failure, store
from tests.cluster import Cluster, artstore, request, run_artstore

UNKNOWN = "01920000-0000-7000-8000-000000000099"


def test_a_file_is_listed_searched_and_described(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)

    listed = json.loads(cluster.command("ls", "--json", "--limit", "1000").stdout)
    searched = json.loads(cluster.command("search", "--filename", document.name, "--json").stdout)
    described = json.loads(cluster.command("info", file_id, "--json").stdout)

    assert file_id in [item["file_id"] for item in listed["items"]]
    assert [item["file_id"] for item in searched["items"]] == [file_id]
    assert described["original_filename"] == document.name


def test_people_see_whole_ids_and_names(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document)

    listed = cluster.command("ls").stdout
    described = cluster.command("info", file_id).stdout

    assert file_id in listed
    assert document.name in listed
    assert file_id in described
    assert document.name in described


def test_a_search_is_narrowed_by_its_options(cluster: Cluster, tmp_path: Path) -> None:
    unit = str(uuid4())
    for name in ("report.txt", "letter.txt"):
        (tmp_path / name).write_bytes(b"")
        cluster.command("put", str(tmp_path / name), "--attribute", f"unit={unit}", "--tag", name[:6])

    def found(*options: str) -> list[str]:
        completed = cluster.command("search", "--attribute", f"unit={unit}", "--json", *options)
        return sorted(item["original_filename"] for item in json.loads(completed.stdout)["items"])

    assert found() == ["letter.txt", "report.txt"]
    assert found("reports") == found("--tag", "report") == found("--filename", "epor") == ["report.txt"]
    assert found("epor", "--mode", "partial") == ["report.txt"]
    assert found("epor", "--mode", "exact") == []
    assert len(found("--limit", "1")) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["x" * 501], "query: should have at most 500"),
        (["--attribute", "unit"], "'unit' is not of the form NAME=VALUE"),
        (["--filename", ""], "filename: should have at least 1"),
    ],
)
def test_a_search_that_cannot_be_made_is_told(cluster: Cluster, arguments: list[str], told: str) -> None:
    completed = cluster.command("search", *arguments, check=False)

    assert told in failure(completed, code=2)


def test_the_cluster_is_described(cluster: Cluster) -> None:
    told = json.loads(cluster.command("info", "--json").stdout)

    assert told["endpoints"]["query"] == cluster.url("query")
    assert [element["element_id"] for element in told["elements"]["items"]] == ["se-01"]
    assert cluster.url("element") in cluster.command("info").stdout


def test_a_file_is_got_under_its_own_name(cluster: Cluster, document: Path, tmp_path: Path) -> None:
    file_id = store(cluster, document)
    (tmp_path / "here").mkdir()

    cluster.command("get", file_id, cwd=tmp_path / "here")

    assert [path.name for path in (tmp_path / "here").iterdir()] == [document.name]
    assert (tmp_path / "here" / document.name).read_bytes() == document.read_bytes()


def test_a_file_is_got_on_standard_output(cluster: Cluster, document: Path) -> None:
    document.write_text(content := f"содержание {uuid4()}\n")

    completed = cluster.command("get", store(cluster, document), "-o", "-")

    assert (completed.stdout, completed.stderr) == (content, "")


def test_a_file_that_is_there_is_replaced_by_force_only(
    cluster: Cluster, document: Path, tmp_path: Path
) -> None:
    file_id = store(cluster, document)
    (target := tmp_path / "target").write_bytes(b"mine")

    refused = cluster.command("get", file_id, "-o", str(target), check=False)
    kept = target.read_bytes()
    cluster.command("get", file_id, "-o", str(target), "--force")

    assert "is there already" in failure(refused, code=2)
    assert kept == b"mine"
    assert target.read_bytes() == document.read_bytes()


def test_a_download_that_fails_leaves_no_file(cluster: Cluster, document: Path, tmp_path: Path) -> None:
    file_id = store(cluster, document)
    [archived] = (cluster.data / "storage").rglob(f"{document.stem}*.txt")
    archived.chmod(0o600)
    archived.write_bytes(b"x" * document.stat().st_size)
    (folder := tmp_path / "here").mkdir()

    rotten = cluster.command("get", file_id, "-o", str(folder / "file"), check=False)
    nowhere = cluster.command("get", file_id, "-o", str(folder / "no" / "file"), check=False)

    assert "is damaged" in failure(rotten, code=1)
    assert "No such file or directory" in failure(nowhere, code=2)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [["get"], ["info"], ["rm", "--yes"]])
def test_a_file_that_is_unknown_is_told(cluster: Cluster, command: list[str]) -> None:
    completed = cluster.command(*command, UNKNOWN, check=False)

    assert UNKNOWN in failure(completed, code=1)


def test_what_was_removed_is_gone(cluster: Cluster, document: Path) -> None:
    file_id = store(cluster, document, retention_policy="temporary")

    unanswered = cluster.command("rm", file_id, check=False)
    before = cluster.command("info", file_id)
    cluster.command("rm", "--yes", file_id)
    after = cluster.command("info", file_id, check=False)

    assert unanswered.returncode == 1
    assert document.name in before.stdout
    assert "there is no file" in failure(after, code=1)


def test_an_account_is_made_listed_rotated_and_deleted(cluster: Cluster) -> None:
    made = json.loads(
        cluster.command("service-account", "create", "scanner", "--role", "USER", "--json").stdout
    )
    rotated = json.loads(cluster.command("service-account", "rotate", "scanner", "--json").stdout)
    listed = json.loads(cluster.command("service-account", "list", "--json").stdout)
    statuses = [_token_status(cluster, each) for each in (made, rotated)]
    cluster.command("service-account", "delete", "--yes", made["client_id"])
    left = json.loads(cluster.command("service-account", "list", "--json").stdout)

    assert made["client_id"] in [each["client_id"] for each in listed]
    assert "client_secret" not in str(listed)
    assert statuses == [401, 200]
    assert _token_status(cluster, rotated) == 401
    assert made["client_id"] not in [each["client_id"] for each in left]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["create", " "], 2, "name: should have at least 1 character"),
        (["create", "x", "--scope", "files:eat"], 2, "scopes.0: should be one of"),
        (["rotate", "nobody"], 1, "there is no account nobody"),
        (["delete", "nobody", "--yes"], 1, "there is no account nobody"),
    ],
)
def test_an_account_that_cannot_be_is_told(
    cluster: Cluster, arguments: list[str], code: int, told: str
) -> None:
    completed = cluster.command("service-account", *arguments, check=False)

    assert told in failure(completed, code=code)


def _token_status(cluster: Cluster, account: dict[str, str]) -> int:
    form = f"client_id={account['client_id']}&client_secret={account['client_secret']}"
    answer = request(
        "POST",
        cluster.url("admin", "/api/v1/auth/token"),
        body=f"grant_type=client_credentials&{form}".encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    return answer.status


@pytest.mark.parametrize(
    "command", [["rm", "01920000-0000-7000-8000-000000000042"], ["service-account", "delete", "x"]]
)
def test_who_says_no_changes_nothing(cluster: Cluster, command: list[str]) -> None:
    completed = subprocess.run(
        [artstore(), *command, "--data", str(cluster.data)],
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 1
    assert completed.stderr.splitlines()[-1].endswith("error: given up; nothing was changed")
    assert "Traceback" not in completed.stderr


def test_who_may_not_is_told_which_scope_is_missing(cluster: Cluster, document: Path) -> None:
    made = json.loads(
        cluster.command("service-account", "create", "reader", "--role", "READONLY", "--json").stdout
    )
    environment = {
        "ARTSTORE_URL": cluster.url("admin"),
        "ARTSTORE_CLIENT_ID": made["client_id"],
        "ARTSTORE_CLIENT_SECRET": made["client_secret"],
    }

    completed = run_artstore("service-account", "list", environment=environment, check=False)

    assert "this needs the scope accounts:read" in failure(completed, code=1)
    assert "another role" not in completed.stderr


def test_a_name_longer_than_a_file_system_takes_is_cut(cluster: Cluster, tmp_path: Path) -> None:
    described = UploadAttributes(original_filename=f"{'ж' * 300}.txt").encode_header()
    stored = cluster.request(
        "ingester", "POST", "/api/v1/files", body=b"content", headers={ATTRIBUTES_HEADER: described}
    ).json()

    cluster.command("get", stored["file_id"], cwd=tmp_path)

    [file] = tmp_path.iterdir()
    assert file.read_bytes() == b"content"
    assert file.name.startswith("жжж")
    assert file.suffix == ".txt"


def test_a_storage_element_tells_of_itself(cluster: Cluster) -> None:
    [registered] = json.loads(cluster.command("info", "--json").stdout)["elements"]["items"]

    for_programs = json.loads(cluster.command("element", "info", "--json").stdout)
    for_people = cluster.command("element", "info", "--element", registered["element_id"]).stdout

    assert for_programs["element_id"] == registered["element_id"]
    assert for_programs["max_file_size"] > 0
    assert registered["element_id"] in for_people


def test_an_element_that_is_not_registered_is_told_with_those_that_are(cluster: Cluster) -> None:
    line = failure(cluster.command("element", "info", "--element", "se-99", check=False), code=1)

    assert "se-99" in line
    assert "se-01" in line

"""`artstore put` and `verify`: odd files, unusable options, and what is told of them."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.commands import failure, put, put_one
from tests.cluster import Cluster, artstore


def _without_privileges() -> list[str]:
    """A prefix with which file permissions hold for root, too."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("command", ["put", "verify"])
def test_a_file_that_cannot_be_read_fails_alone(cluster: Cluster, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "folder"
    (folder / "locked").mkdir(parents=True)
    (folder / "good").write_bytes(tmp_path.name.encode())
    (folder / "closed").write_bytes(b"secret")
    put(cluster, folder / "good")
    (folder / "closed").chmod(0)
    (folder / "locked").chmod(0)

    completed = subprocess.run(
        [*_without_privileges(), artstore(), command, "-r", str(folder), "--data", str(cluster.data)],
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "locked").chmod(0o700)

    assert completed.returncode == 1
    assert sorted(completed.stderr.splitlines()) == [
        f"failed: {folder}/closed: Permission denied",
        f"failed: {folder}/locked: Permission denied",
    ]
    assert "2 failed" in completed.stdout


def test_links_and_special_files_are_skipped_and_counted(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"file")
    (folder / "link to a file").symlink_to("file")
    (folder / "link to the folder").symlink_to(folder)
    (folder / "link to nothing").symlink_to("nothing")
    os.mkfifo(folder / "pipe")

    report = put(cluster, "--recursive", folder)

    assert [each["original_filename"] for each in report["stored"]] == ["file"]
    assert (report["skipped"], report["failed"]) == (4, [])


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (b"new\nline", "new_line"),
        (b"back\\slash", "back_slash"),
        (b"not UTF-8 \xff", "not UTF-8 \N{REPLACEMENT CHARACTER}"),
        (b"...", "_..."),
        (b" spaces ", " spaces "),
        ("пробел и \N{PARTY POPPER}".encode(), "пробел и \N{PARTY POPPER}"),
    ],
)
def test_a_name_that_is_none_in_the_archive_is_changed_to_one(
    cluster: Cluster, tmp_path: Path, name: bytes, stored: str
) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"")

    report = put(cluster, tmp_path / os.fsdecode(name))

    assert [each["original_filename"] for each in report["stored"]] == [stored]


@pytest.mark.parametrize("command", ["put", "verify"])
def test_a_folder_needs_recursive(cluster: Cluster, tmp_path: Path, command: str) -> None:
    completed = cluster.command(command, str(tmp_path), check=False)

    assert "is a folder: add --recursive" in failure(completed, code=2)


def test_what_is_no_file_cannot_be_named(cluster: Cluster, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")

    pipe = cluster.command("put", str(tmp_path / "pipe"), check=False)
    link = cluster.command("put", str(tmp_path / "link"), check=False)
    missing = cluster.command("put", str(tmp_path / "missing"), check=False)

    assert "is neither file nor folder" in failure(pipe, code=2)
    assert "No such file" in failure(link, code=2)
    assert "No such file" in failure(missing, code=2)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--attribute", "unit", "'unit' is not of the form NAME=VALUE"),
        ("--attribute", "=7", "'=7' is not of the form NAME=VALUE"),
        ("--retention", "forever", "retention_policy: should be 'temporary' or 'permanent'"),
        ("--retention", "temporary:soon", "ttl_days: should be a valid integer"),
        ("--retention", "temporary:-1", "ttl_days: should be greater than"),
        ("--retention", "permanent:7", "ttl_days: is for temporary files only"),
        ("--tag", "", "tags.0: should have at least 1 character"),
    ],
)
def test_an_option_that_cannot_be_used_is_told_before_anything_is_stored(
    cluster: Cluster, document: Path, option: str, value: str, told: str
) -> None:
    completed = cluster.command("put", str(document), option, value, check=False)

    assert told in failure(completed, code=2)


def test_options_become_attributes(cluster: Cluster, document: Path) -> None:
    options = ["--tag", "a", "--tag", "b", "--attribute", "unit=7=8", "--description", "what it is"]

    [stored] = put(cluster, document, *options, "--retention", "temporary:30")["stored"]

    told = json.loads(cluster.command("info", stored["file_id"], "--json").stdout)
    assert (told["tags"], told["description"]) == (["a", "b"], "what it is")
    assert told["custom_attributes"] == {"path": document.name, "unit": "7=8"}
    assert (told["retention_policy"], told["original_filename"]) == ("temporary", document.name)


def test_verify_proves_content_and_not_names(cluster: Cluster, document: Path, tmp_path: Path) -> None:
    put(cluster, document)
    document.rename(tmp_path / "renamed")
    document.write_bytes(b"other content")

    renamed = cluster.command("verify", str(tmp_path / "renamed"), "--json")
    changed = cluster.command("verify", str(document), "--json", check=False)

    assert json.loads(renamed.stdout)["verified"] == 1
    assert changed.returncode == 1
    assert [each["path"] for each in json.loads(changed.stdout)["failed"]] == [str(document)]


def test_verify_notices_bytes_that_changed_in_the_archive(cluster: Cluster, document: Path) -> None:
    put(cluster, document)
    [archived] = (cluster.data / "storage").rglob(f"{document.stem}*.txt")
    archived.chmod(0o600)
    archived.write_bytes(b"x" * document.stat().st_size)

    read_back = cluster.command("verify", str(document), check=False)
    believed = cluster.command("verify", str(document), "--no-download")

    assert read_back.returncode == 1
    assert "1 failed" in read_back.stdout
    assert "verified 1 files" in believed.stdout


def test_a_file_that_is_known_to_be_damaged_is_repaired_by_putting_it_again(
    cluster: Cluster, document: Path, tmp_path: Path
) -> None:
    file_id = put_one(cluster, document)
    [archived] = (cluster.data / "storage").rglob(f"{document.stem}*.txt")
    archived.chmod(0o600)
    archived.write_bytes(b"x" * document.stat().st_size)
    assert cluster.command("fixity", "run", file_id, check=False).returncode == 1

    again = put(cluster, document)

    assert ([each["file_id"] for each in again["repaired"]], again["stored"]) == ([file_id], [])
    cluster.command("get", file_id, "--output", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == document.read_bytes()
    assert put(cluster, document)["already_stored"] == 1


def test_the_attribute_that_put_sets_itself_cannot_be_set(cluster: Cluster, document: Path) -> None:
    completed = cluster.command("put", str(document), "--attribute", "path=mine", check=False)

    assert "--attribute path=… is set by put itself" in failure(completed, code=2)


def test_a_file_whose_size_the_system_does_not_know_is_stored_as_it_is_read(cluster: Cluster) -> None:
    report = put(cluster, Path("/proc/version"))

    [stored] = report["stored"]
    assert stored["file_size"] == len(Path("/proc/version").read_bytes())


def test_a_file_that_shrinks_while_it_is_read_is_told(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    process = subprocess.Popen(
        [artstore(), "put", str(path), "--data", str(cluster.data)], stderr=subprocess.PIPE, text=True
    )
    staging = cluster.data / "storage" / ".artstore" / "staging"
    while max(map(_size, staging.iterdir()), default=0) < 1024 * 1024:  # other things are staged, too
        time.sleep(0.001)
    os.truncate(path, 1)
    _, told = process.communicate(timeout=100)

    assert process.returncode == 1
    assert "the file changed while it was read: run put again" in told


def _size(path: Path) -> int:
    """0 of what has found its place since it was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

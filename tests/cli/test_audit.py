"""`artstore audit`, on a cluster and on nothing but files."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.cli.audit_files import verify_files
from artstore.core.audit.checkpoints import Checkpoint, CheckpointBody, CheckpointSigner, new_signing_key
from artstore.core.audit.verification import Verification
from tests.cli.commands import failure, store
from tests.cluster import Cluster, run_artstore, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that signs a checkpoint every second."""
    often = {"ARTSTORE__AUDIT__CHECKPOINT_INTERVAL": "1"}
    with running_cluster(tmp_path_factory.mktemp("cluster") / "data", environment=often) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def evidence(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what an auditor takes along: public key, checkpoints, and an export of later."""
    folder = tmp_path_factory.mktemp("evidence")
    document = folder / "invoice.txt"
    document.write_text("Two boxes.")
    store(cluster, document)
    cluster.command("audit", "checkpoint", "--public-key", str(folder / "key.pem"))
    wait_for_a_checkpoint(cluster)
    shutil.copytree(cluster.data / "storage", folder / "checkpoints")
    cluster.command("audit", "export", "--output", str(folder / "audit.jsonl"))
    return folder


def wait_for_a_checkpoint(cluster: Cluster) -> None:
    """Until one vouches for all that there is now."""
    last = json.loads(cluster.command("audit", "list", "--limit", "1", "--json").stdout)["items"][0][
        "position"
    ]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = json.loads(cluster.command("audit", "checkpoint", "--json").stdout).get("checkpoint")
        name = "" if found is None else f"audit-checkpoint-{found['number']:08}_*.json"
        if found is not None and found["size"] >= last and list((cluster.data / "storage").rglob(name)):
            return
        time.sleep(0.2)
    raise AssertionError(cluster.tail())


def verify(evidence: Path, export: Path, *options: str) -> Any:
    """Without any server."""
    return run_artstore(
        "audit",
        "verify",
        str(export),
        "--checkpoints",
        str(evidence / "checkpoints"),
        "--public-key",
        str(evidence / "key.pem"),
        *options,
        check=False,
    )


def verified(evidence: Path, export: Path) -> Verification:
    """The same without starting a process."""
    return verify_files(
        export, checkpoints=evidence / "checkpoints", public_key=evidence / "key.pem", audit_key=None
    )


def covered(evidence: Path) -> int:
    """How many records the checkpoints vouch for."""
    report = verified(evidence, evidence / "audit.jsonl")
    assert report.is_sound, report
    return report.covered_to


def altered(evidence: Path, change: Callable[[list[str]], object]) -> Path:
    """A copy of the export whose lines were changed."""
    lines = (evidence / "audit.jsonl").read_text().splitlines(keepends=True)
    change(lines)
    path = evidence / "altered.jsonl"
    path.write_text("".join(lines))
    return path


def test_records_are_listed_for_people_and_programs(cluster: Cluster, evidence: Path) -> None:
    shown = cluster.command("audit", "list", "--event", "upload_file", "--role", "ingester")
    found = json.loads(cluster.command("audit", "list", "--kind", "sensitive_operation", "--json").stdout)[
        "items"
    ]

    assert {record["record"]["outcome"] for record in found} == {"succeeded"}
    assert {"ingester", "element"} <= {record["record"]["role"] for record in found}
    assert shown.stdout.splitlines()[0].split() == [
        "position",
        "time",
        "role",
        "event",
        "outcome",
        "status",
        "actor",
        "address",
        "resource",
    ]


def test_the_log_of_a_cluster_is_verified(cluster: Cluster, evidence: Path) -> None:
    assert cluster.command("audit", "verify").stdout.startswith("sound: ")


def test_an_export_is_verified_by_files_and_a_public_key_alone(evidence: Path) -> None:
    completed = verify(evidence, evidence / "audit.jsonl")

    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith("sound: ")
    assert covered(evidence) > 5


Change = Callable[[list[str]], object]
CHANGES: Final[Mapping[str, tuple[Change, int]]] = {
    "edit": (lambda lines: lines.__setitem__(3, lines[3].replace('"role":"', '"role":"x')), 4),
    "delete": (lambda lines: lines.pop(3), 4),
    "insert": (lambda lines: lines.insert(3, lines[2]), 4),
    "reorder": (lambda lines: lines.__setitem__(slice(3, 5), [lines[4], lines[3]]), 4),
    "behead": (lambda lines: lines.__delitem__(slice(0, 3)), 1),
    "replace": (lambda lines: lines.__setitem__(3, "{}\n"), 4),
    "garble": (lambda lines: lines.__setitem__(3, lines[3][:40]), 4),
    "truncate": (lambda lines: lines.__delitem__(slice(4, None)), 5),
    "empty": (lambda lines: lines.clear(), 1),
}
"""What somebody does to an export, and the first record that is bad then."""


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_the_first_bad_record_is_named_without_any_secret(evidence: Path, change: Change, named: int) -> None:
    report = verified(evidence, altered(evidence, change))

    assert report.fault is not None
    assert report.fault.position == named


def test_the_command_fails_with_the_bad_record(evidence: Path) -> None:
    completed = verify(evidence, altered(evidence, lambda lines: lines.pop(3)))

    assert "record 4 is missing" in failure(completed, code=1)


def test_records_that_no_checkpoint_covers_yet_are_verified_with_the_audit_key(
    cluster: Cluster, evidence: Path
) -> None:
    exported = evidence / "longer.jsonl"
    cluster.command("audit", "export", "--output", str(exported))
    lines = exported.read_text().splitlines(keepends=True)
    assert len(lines) > covered(evidence)
    exported.write_text("".join([*lines[:-1], lines[-1].replace('"role":"', '"role":"x')]))
    key = cluster.data / "secrets" / "audit-key"

    without = verify(evidence, exported)
    with_key = verify(evidence, exported, "--audit-key", str(key))

    assert without.returncode == 0, without.stderr
    assert f"record {len(lines)} was altered" in failure(with_key, code=1)


def test_a_checkpoint_that_somebody_else_signed_is_refused(evidence: Path, tmp_path: Path) -> None:
    shutil.copytree(evidence / "checkpoints", tmp_path / "checkpoints")
    path = max((tmp_path / "checkpoints").rglob("audit-checkpoint-*[0-9a-f].json"))
    genuine = Checkpoint.from_json(path.read_bytes())
    forger = CheckpointSigner(new_signing_key(), source="a test")
    body = CheckpointBody.model_validate(genuine.model_dump(exclude={"signature"}))
    path.chmod(0o600)
    path.write_bytes(forger.sign(body).to_json())
    shutil.copy(evidence / "key.pem", tmp_path)

    completed = verify(tmp_path, evidence / "audit.jsonl")

    assert f"checkpoint {genuine.number} is forged" in failure(completed, code=1)


def test_an_export_is_compared_with_something(evidence: Path, tmp_path: Path) -> None:
    export = str(evidence / "audit.jsonl")

    nothing = run_artstore("audit", "verify", export, check=False)
    empty = run_artstore(
        "audit",
        "verify",
        export,
        "--checkpoints",
        str(tmp_path),
        "--public-key",
        str(evidence / "key.pem"),
        check=False,
    )

    assert "--checkpoints and --public-key" in failure(nothing, code=2)
    assert "there are no checkpoints" in failure(empty, code=2)


def test_an_export_replaces_no_file(cluster: Cluster, evidence: Path) -> None:
    refused = cluster.command("audit", "export", "--output", str(evidence / "audit.jsonl"), check=False)

    assert "File exists" in failure(refused, code=1)

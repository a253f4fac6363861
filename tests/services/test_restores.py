"""From an archive to a client: asked for at query, restored by an operator, downloaded, gone in a while."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from artstore.core.ids import new_file_id
from tests.cli.commands import failure
from tests.cluster import run_artstore
from tests.services.admin.harness import eventually
from tests.services.roles import Roles, RoleServer, described
from tests.services.storage_element.harness import Answer

CONTENT = b"from the tape" * 50_000
SIDECAR_LIMIT = 64 * 1024


@dataclass
class Archiving:
    """A file in an archive, an element in ``edit`` beside it, and query."""

    roles: Roles
    admin: RoleServer
    query: RoleServer
    archive: RoleServer
    edit: RoleServer
    stored: dict[str, Any]

    @property
    def file_id(self) -> str:
        return str(self.stored["file_id"])

    async def download(self, **arguments: Any) -> Answer:
        url = f"{self.query.url}/api/v1/files/{self.file_id}/download"
        return await self.roles.request(arguments.pop("method", "GET"), url, **arguments)

    async def command(self, *arguments: str | Path, check: bool = True) -> "CompletedProcess[str]":
        """``artstore`` as the operator runs it."""
        client_id, _, secret = (
            (self.roles.data / "secrets/client-administrator").read_text().strip().partition(":")
        )
        environment = {
            "ARTSTORE_URL": self.admin.url,
            "ARTSTORE_CLIENT_ID": client_id,
            "ARTSTORE_CLIENT_SECRET": secret,
        }
        words = map(str, arguments)
        return await asyncio.to_thread(run_artstore, *words, check=check, environment=environment)

    async def change_mode(self, mode: str) -> None:
        url = f"{self.admin.url}/api/v1/storage-elements/se-01/mode"
        plan = (await self.roles.request("POST", url, json={"mode": mode})).json()
        order = {"mode": mode, "confirmation": plan["confirmation"]}
        assert (await self.roles.request("POST", url, json=order)).status == 200


@pytest.fixture
async def archiving(roles: Roles) -> Archiving:
    return await archived(roles)


async def archived(roles: Roles, *, is_full: bool = False) -> Archiving:
    """A file whose sidecar may have no room for more, in an archive."""
    archive = await roles.start_element("se-01", element={"mode": "rw", "restored_days": 7})
    edit = await roles.start_element("se-02")
    admin = await roles.start("admin", admin={"elements": [archive.url, edit.url]})
    query = await roles.start("query")
    described_as = described("tape.txt", tags=["year"], description="O", custom_attributes={"box": {"n": 1}})
    url = f"{archive.url}/api/v1/files/{new_file_id()}/content"
    stored = (await roles.request("PUT", url, data=CONTENT, headers=described_as)).json()["attributes"]
    archiving = Archiving(roles, admin, query, archive, edit, stored)

    async def are_registered() -> bool:
        elements = (await roles.request("GET", f"{admin.url}/api/v1/storage-elements")).json()
        return bool(elements["total"] == 2)

    await eventually(are_registered)
    await roles.wait_until_indexed(admin, stored["file_id"])
    if is_full:
        room = SIDECAR_LIMIT - len(json.dumps(stored, separators=(",", ":"))) - len(',"fill":""')
        filled = {"custom_attributes": {"fill": "x" * room}}
        url = f"{archive.url}/api/v1/files/{stored['file_id']}"
        assert (await roles.request("PATCH", url, json=filled)).status == 200
    await archiving.change_mode("ro")
    await archiving.change_mode("ar")
    return archiving


async def test_an_archived_file_is_asked_for_restored_and_downloaded(
    archiving: Archiving, tmp_path: Path
) -> None:
    tape = tmp_path / "tape"
    tape.write_bytes(CONTENT)

    asked = await archiving.download()
    again = await archiving.download(token=await archiving.roles.token("ingester"))
    got = await archiving.command("get", archiving.file_id, check=False)
    listed = json.loads((await archiving.command("restore", "list", "--json")).stdout)
    completed = await archiving.command("restore", "complete", archiving.file_id, "--from", tape, "--json")
    done = json.loads(completed.stdout)
    downloaded = await archiving.download()
    part = await archiving.download(headers={"Range": "bytes=5-7"})

    request_id = asked.json()["request_id"]
    restore_url = f"{archiving.query.url}{asked.headers['Location']}"
    followed = (await archiving.roles.request("GET", restore_url)).json()
    assert (asked.status, again.status) == (202, 202)
    assert again.json()["request_id"] == request_id
    assert [each["request_id"] for each in listed] == [request_id]
    assert "has to be restored" in failure(got, code=1)
    assert (done["status"], done["request_id"]) == ("restored", request_id)
    assert (followed["status"], followed["request_id"]) == ("restored", request_id)
    assert (downloaded.status, downloaded.body) == (200, CONTENT)
    assert (part.status, part.body) == (206, CONTENT[5:8])
    await assert_copy_is_temporary_and_says_what_it_is(archiving, request_id)
    assert await holder(archiving) == "se-01"


async def assert_copy_is_temporary_and_says_what_it_is(archiving: Archiving, request_id: str) -> None:
    url = f"{archiving.edit.url}/api/v1/files/{request_id}"
    copy = (await archiving.roles.request("GET", url)).json()
    original = archiving.stored
    for same in ("original_filename", "content_type", "file_size", "checksum", "tags", "description"):
        assert copy[same] == original[same]
    assert copy["custom_attributes"] == {
        "box": {"n": 1},
        "restored_from": archiving.file_id,
        "restored_from_element": "se-01",
    }
    assert copy["retention"]["policy"] == "temporary"
    kept = datetime.fromisoformat(copy["retention"]["expires_at"]) - datetime.fromisoformat(
        copy["created_at"]
    )
    assert kept == timedelta(days=7)


async def holder(archiving: Archiving) -> str:
    url = f"{archiving.admin.url}/api/v1/files/{archiving.file_id}"
    return str((await archiving.roles.request("GET", url)).json()["element_id"])


async def test_wrong_bytes_from_the_medium_restore_nothing(archiving: Archiving, tmp_path: Path) -> None:
    tape = tmp_path / "tape"
    tape.write_bytes(b"another file")
    await archiving.download()

    completed = await archiving.command("restore", "complete", archiving.file_id, "--from", tape, check=False)

    assert hashlib.sha256(b"another file").hexdigest() in failure(completed, code=1)
    assert (await archiving.download()).status == 202
    files = await archiving.roles.request("GET", f"{archiving.edit.url}/api/v1/files")
    assert files.json()["total"] == 0


async def with_copy(archiving: Archiving, tape: Path) -> str:
    """Restore the file; the id of the copy."""
    await asyncio.to_thread(tape.write_bytes, CONTENT)
    asked = await archiving.download()
    await archiving.command("restore", "complete", archiving.file_id, "--from", tape)
    return str(asked.json()["request_id"])


async def test_a_copy_that_is_gone_before_its_time_is_asked_for_again(
    archiving: Archiving, tmp_path: Path
) -> None:
    lost_id = await with_copy(archiving, tmp_path / "tape")
    await archiving.roles.request("DELETE", f"{archiving.edit.url}/api/v1/files/{lost_id}")

    seen = await archiving.download(method="HEAD")
    asked, again = await archiving.download(), await archiving.download()
    listed = await archiving.command("restore", "list", "--status", "all", "--json")
    await archiving.command("restore", "complete", archiving.file_id, "--from", tmp_path / "tape")

    new_id = asked.json()["request_id"]
    assert seen.status == 409
    assert (asked.status, again.status) == (202, 202)
    assert again.json()["request_id"] == new_id != lost_id
    statuses = {each["request_id"]: each["status"] for each in json.loads(listed.stdout)}
    assert statuses == {lost_id: "cancelled", new_id: "queued"}
    assert (await archiving.download()).body == CONTENT


def damage(data: Path) -> None:
    data.write_bytes(b"x" * len(CONTENT))


@pytest.mark.parametrize("spoil", [damage, Path.unlink])
async def test_a_copy_that_is_found_damaged_is_asked_for_again(
    archiving: Archiving, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    lost_id = await with_copy(archiving, tmp_path / "tape")
    [data] = archiving.roles.data.rglob(f"*{lost_id}.txt")
    spoil(data)

    first, second = await archiving.download(), await archiving.download()

    assert {first.status, second.status} == {202}
    assert second.json()["request_id"] == first.json()["request_id"] != lost_id


async def test_a_copy_whose_element_is_away_is_not_lost(archiving: Archiving, tmp_path: Path) -> None:
    await with_copy(archiving, tmp_path / "tape")
    await archiving.edit.stop()

    away = await archiving.download()

    url = f"{archiving.query.url}/api/v1/files/{archiving.file_id}/restore"
    assert (away.status, away.problem) == (503, "unavailable")
    assert (await archiving.roles.request("GET", url)).json()["status"] == "restored"


async def test_a_request_that_cannot_be_fulfilled_says_why(archiving: Archiving, tmp_path: Path) -> None:
    asked = (await archiving.download()).json()
    await archiving.command("restore", "fail", asked["request_id"], "--reason", "the tape is torn")
    missing = tmp_path / "missing"

    told = await archiving.roles.request(
        "GET", f"{archiving.query.url}/api/v1/files/{archiving.file_id}/restore"
    )
    too_late = await archiving.command(
        "restore", "complete", asked["request_id"], "--from", archiving.roles.data / "index.db", check=False
    )
    no_file = await archiving.command(
        "restore", "complete", asked["request_id"], "--from", missing, check=False
    )
    unknown = await archiving.command("restore", "cancel", str(new_file_id()), check=False)

    assert (told.json()["status"], told.json()["reason"]) == ("failed", "the tape is torn")
    assert "is failed" in failure(too_late, code=1)
    assert str(missing) in failure(no_file, code=2)
    assert "knows a restore request" in failure(unknown, code=1)


async def test_an_archive_that_does_not_answer_is_named_and_holds_up_no_other(
    archiving: Archiving, tmp_path: Path
) -> None:
    tape = tmp_path / "tape"
    tape.write_bytes(CONTENT)
    other = await archiving.roles.start_element("se-00", element={"mode": "ar"})
    url = f"{archiving.admin.url}/api/v1/storage-elements"
    assert (await archiving.roles.request("POST", url, json={"url": other.url})).status == 201
    await archiving.download()
    await other.stop()

    listed = await archiving.command("restore", "list", check=False)
    unknown = await archiving.command("restore", "cancel", str(new_file_id()), check=False)
    completed = await archiving.command("restore", "complete", archiving.file_id, "--from", tape)

    assert archiving.file_id in listed.stdout
    assert listed.returncode == 1
    assert "storage element se-00" in listed.stderr
    assert "these do not answer: se-00" in failure(unknown, code=1)
    assert "is on se-02 until" in completed.stdout


async def test_a_file_is_restored_whose_sidecar_has_no_room_for_more(roles: Roles, tmp_path: Path) -> None:
    tape = tmp_path / "tape"
    tape.write_bytes(CONTENT)
    archiving = await archived(roles, is_full=True)

    completed = await archiving.command("restore", "complete", archiving.file_id, "--from", tape)

    assert "they do not fit" in completed.stderr
    assert (await archiving.download()).body == CONTENT

"""Temporary files become permanent: copied to the element that keeps them, or where they are."""

import asyncio
import random
from uuid import uuid4

import pytest

from tests.services.admin.harness import eventually, sql_in
from tests.services.finalization.harness import FINALIZATIONS, Finalizing
from tests.services.ingester.harness import MIB

pytestmark = pytest.mark.asyncio(loop_scope="module")
BIG = random.Random(1).randbytes(24 * MIB)


@pytest.mark.parametrize("content", [b"", BIG], ids=["empty", "large"])
async def test_a_file_moves_to_the_element_that_keeps_it_with_all_that_is_known_of_it(
    finalizing: Finalizing, content: bytes
) -> None:
    source, target = finalizing.elements
    file_id = await finalizing.temporary(
        content,
        name="отчёт 1.bin",
        tags=["a", "б"],
        description="what it is",
        custom_attributes={"case": {"number": 1.5, "parts": [1, "two"]}},
    )
    before = await finalizing.sidecar(file_id, source)
    assert before is not None

    answer = await finalizing.finalize(file_id)
    said = await finalizing.reaches(answer.json()["finalization_id"], "completed")

    assert answer.status == 202
    assert answer.headers["Location"].endswith(f"{FINALIZATIONS}/{said['finalization_id']}")
    assert (said["source_element_id"], said["target_element_id"]) == ("se-edit", "se-rw")
    assert (said["bytes_copied"], said["file_size"]) == (len(content), len(content))
    assert said["checksum_verified"] is True
    after = await finalizing.assert_permanent(file_id, content, target)
    assert await finalizing.sidecar(file_id, source) is None
    changing = {"version", "updated_at", "retention"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert after["version"] > before["version"]
    kept = [path.name for path in finalizing.kept("se-edit") if file_id in path.name]
    assert kept == [f"{before['storage_filename']}.attr.json"]


async def test_the_source_stays_for_a_while_and_the_copy_is_what_is_read(keeping: Finalizing) -> None:
    source, target = keeping.elements
    file_id = await keeping.temporary(b"content")

    said = await keeping.started(file_id)
    said = await keeping.reaches(said["finalization_id"], "source_removal_scheduled")

    assert said["remove_source_at"] > said["updated_at"]
    await keeping.assert_permanent(file_id, b"content", target)
    assert await keeping.content(file_id, source) == b"content"
    refused = await keeping.roles.request("DELETE", f"{source.url}/api/v1/files/{file_id}")
    assert refused.problem == "being-finalized"


async def test_a_request_that_is_repeated_finds_the_same_finalization(keeping: Finalizing) -> None:
    file_id, key = await keeping.temporary(), str(uuid4())

    first = await keeping.finalize(file_id, key=key)
    again = await keeping.finalize(file_id, key=key)
    without = await keeping.finalize(file_id)
    await keeping.reaches(first.json()["finalization_id"], "source_removal_scheduled")
    later = await keeping.finalize(file_id, key=key)

    assert {a.json()["finalization_id"] for a in (first, again, without, later)} == {
        first.json()["finalization_id"]
    }
    assert later.status == 200


async def test_a_key_is_good_for_one_file(keeping: Finalizing) -> None:
    first, second, key = await keeping.temporary(), await keeping.temporary(), str(uuid4())
    await keeping.started(first, key=key)

    answer = await keeping.finalize(second, key=key)

    assert answer.status == 409
    assert "send a new one" in answer.json()["detail"]


async def test_of_simultaneous_requests_for_one_file_one_finalization_comes(keeping: Finalizing) -> None:
    file_id = await keeping.temporary()

    answers = await asyncio.gather(*(keeping.finalize(file_id, key=str(uuid4())) for _ in range(10)))

    assert {answer.status for answer in answers} <= {200, 202}
    (finalization_id,) = {answer.json()["finalization_id"] for answer in answers}
    await keeping.reaches(finalization_id, "source_removal_scheduled")
    after = await keeping.assert_permanent(file_id, b"content", keeping.elements[1])
    assert after["version"] == 3


async def test_many_files_become_permanent_at_once(finalizing: Finalizing) -> None:
    contents = {await finalizing.temporary(bytes([n]) * 1000): bytes([n]) * 1000 for n in range(12)}

    begun = await asyncio.gather(*map(finalizing.started, contents))
    for said in begun:
        await finalizing.reaches(said["finalization_id"], "completed")

    for file_id, content in contents.items():
        await finalizing.assert_permanent(file_id, content, finalizing.elements[1])


async def test_a_permanent_file_is_permanent_already(finalizing: Finalizing) -> None:
    file_id = (await finalizing.post()).json()["file_id"]

    answer = await finalizing.finalize(file_id)

    assert answer.status == 200
    assert answer.json()["status"] == "completed"
    assert "finalization_id" not in answer.json()
    assert "Location" not in answer.headers


async def test_a_file_that_was_finalized_is_told_of_for_ever(finalizing: Finalizing) -> None:
    file_id = await finalizing.temporary()
    said = await finalizing.started(file_id)
    said = await finalizing.reaches(said["finalization_id"], "completed")

    answer = await finalizing.finalize(file_id)

    assert answer.status == 200
    assert answer.json() == said


async def test_where_it_is_to_stay_may_be_chosen(finalizing: Finalizing) -> None:
    file_id = await finalizing.temporary(b"content")

    answer = await finalizing.finalize(file_id, json={"element_id": "se-edit"})

    assert answer.json()["target_element_id"] == "se-edit"
    await finalizing.assert_permanent(file_id, b"content", finalizing.elements[0])
    assert await finalizing.sidecar(file_id, finalizing.elements[1]) is None


async def test_a_file_or_finalization_that_is_not_there_is_not_found(finalizing: Finalizing) -> None:
    unknown = await finalizing.finalize(uuid4())
    malformed = await finalizing.finalize("x")
    url = f"{finalizing.ingester.url}{FINALIZATIONS}/{uuid4()}"
    finalization = await finalizing.roles.request("GET", url)

    assert [unknown.status, malformed.status, finalization.status] == [404, 400, 404]


async def test_who_may_only_read_does_not_finalize(finalizing: Finalizing) -> None:
    file_id = await finalizing.temporary()
    url = f"{finalizing.admin.url}/api/v1/service-accounts"
    account = (
        await finalizing.roles.request("POST", url, json={"name": "reader", "role": "READONLY"})
    ).json()
    token = await finalizing.roles.issue_to(account["client_id"], account["client_secret"])

    answer = await finalizing.finalize(file_id, token=token)

    assert answer.status == 403
    direct = await finalizing.roles.request(
        "POST",
        f"{finalizing.admin.url}{FINALIZATIONS}",
        json={"file_id": file_id, "requested_by": "somebody else"},
    )
    assert direct.status == 403


async def test_the_index_keeps_the_file_when_its_source_goes(finalizing: Finalizing) -> None:
    file_id = await finalizing.temporary()
    said = await finalizing.started(file_id)
    await finalizing.reaches(said["finalization_id"], "completed")
    tombstone = finalizing.elements[0]

    async def is_read() -> bool:
        position = (await finalizing.roles.request("GET", f"{tombstone.url}/api/v1/info")).json()
        read = await sql_in(
            finalizing.roles.data, "SELECT sequence FROM index_positions WHERE element_id = 'se-edit'"
        )
        return read == [(position["last_sequence"],)]

    await eventually(is_read)

    await finalizing.assert_permanent(file_id, b"content", finalizing.elements[1])

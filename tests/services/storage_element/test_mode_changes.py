"""Changing the mode of a running element: in two steps, durably, and never under an operation's feet."""

import asyncio
import io
import json
from typing import Any
from uuid import uuid4

import pytest
import structlog
from aiohttp import FormData

from artstore.core.http.openapi import openapi_path
from artstore.core.ids import new_file_id
from artstore.core.modes import MODE_TABLE, MODES, OPERATIONS, Mode, allowed_operations
from artstore.services.storage_element import ROLE, opening, proposals
from tests.services.storage_element.faulty_storage import Faults, down, no_fault
from tests.services.storage_element.harness import (
    MINT,
    POLL_INTERVAL,
    TEMPORARY,
    Answer,
    ElementClient,
    StartElement,
    connection,
    in_catalog,
    upload_head,
)
from tests.services.storage_element.modes import ask, change_mode, confirm, validated
from tests.services.storage_element.test_finalizing import copy_of, put_copy

WRITE_ONCE = {"mode": "rw"}
FILE = "/api/v1/files/{file_id}"


async def mode_of(element: ElementClient) -> str:
    return str((await element.get("/api/v1/info"))["mode"])


async def perform(element: ElementClient, operation: str, file_id: str) -> Answer:
    """One operation on a file, by its name in the table of modes."""
    url = f"/api/v1/files/{file_id}"
    if operation == "create":
        return await element.put(b"new")
    if operation == "update":
        return await element.request("PATCH", url, json={"tags": [str(new_file_id())]})
    if operation == "delete":
        return await element.request("DELETE", url)
    return await element.request("GET", url if operation == "read_metadata" else f"{url}/download")


async def bring_to(element: ElementClient, mode: Mode) -> None:
    """From ``rw`` along the edges of the table; an element in ``edit`` is there already."""
    for step in {"edit": (), "rw": (), "ro": ("ro",), "ar": ("ro", "ar")}[mode]:
        await change_mode(element, step)


@pytest.mark.parametrize("mode", MODES)
async def test_each_mode_allows_what_the_table_says_and_names_itself_when_it_refuses(
    start: StartElement, mode: Mode
) -> None:
    async with start(element={"mode": "edit" if mode == "edit" else "rw"}) as element:
        stored = await element.stored(b"data", **TEMPORARY)
        await bring_to(element, mode)

        answers = {each: await perform(element, each, stored["file_id"]) for each in OPERATIONS}

        for operation, answer in answers.items():
            if operation in MODE_TABLE[mode].operations:
                assert answer.status < 300, (operation, answer)
            elif operation != "read":  # answered with a restore request
                assert (answer.status, answer.problem) == (409, "mode-not-allowed")
                assert f"mode {mode}, which does not allow {operation}" in answer.json()["detail"]
        assert (await element.get("/api/v1/info"))["allowed_operations"] == list(allowed_operations(mode))


BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", FILE): {"json": {"tags": ["new"]}},
    ("POST", f"{FILE}/holds"): {"json": {"reason": "a case"}},
    ("POST", f"{FILE}/finalization"): {"json": {"finalization_id": str(uuid4()), "step": "finish"}},
}


@pytest.mark.parametrize("mode", ["rw", "ro", "ar"])
async def test_every_door_that_a_mode_closes_is_closed(start: StartElement, mode: Mode) -> None:
    closed = [
        (each.method, openapi_path(each.path), each.allowed_as)
        for each in ROLE.operations
        if each.allowed_as not in (None, *allowed_operations(mode))
        and not (each.allowed_as == "read" and MODE_TABLE[mode].reads_restored)
    ]
    async with start(element=WRITE_ONCE) as element:
        stored = await element.stored(b"data")
        await bring_to(element, mode)

        for method, path, operation in closed:
            url = path.format(file_id=stored["file_id"], hold_id="case-1")
            answer = await knock(element, method, url, BODIES.get((method, path), {}))

            assert (answer.status, answer.problem) == (409, "mode-not-allowed"), (method, path)
            assert f"mode {mode}, which does not allow {operation}" in answer.json()["detail"]

        assert len(closed) >= {"rw": 1, "ro": 8, "ar": 8}[mode]
        assert await element.get(f"/api/v1/files/{stored['file_id']}") == stored


async def knock(element: ElementClient, method: str, url: str, body: dict[str, Any]) -> Answer:
    """Any request; one that brings a file, in the way that its URL tells."""
    if url.endswith("/copy"):
        stored = await element.get(url.removesuffix("/copy"))
        return await put_copy(element, copy_of(stored, finalization=str(uuid4())))
    if method == "PUT":
        return await element.put(b"new")
    if url.endswith("/upload"):
        form = FormData()
        form.add_field("file", io.BytesIO(b"new"), filename="new.txt")
        return await element.request(method, url, data=form)
    return await element.request(method, url, **body)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("to", MODES)
async def test_only_the_edges_of_the_table_can_be_gone(start: StartElement, mode: Mode, to: Mode) -> None:
    async with start(element={"mode": mode}) as element:
        answer = await ask(element, to)

        if to in MODE_TABLE[mode].next_modes:
            assert answer.status == 200
        else:
            assert (answer.status, answer.problem) == (409, "mode-transition-not-allowed")
            assert f"from mode {mode} to {to}" in answer.json()["detail"]
        assert await mode_of(element) == mode


async def test_validation_says_what_would_happen_and_changes_nothing(start: StartElement) -> None:
    async with start(element=WRITE_ONCE) as element:
        plan = await validated(element, "ro")

        assert (plan["status"], plan["from_mode"], plan["to_mode"]) == ("validated", "rw", "ro")
        assert plan["ended_operations"] == ["create", "update"]
        assert plan["allowed_operations"] == ["read", "read_metadata"]
        assert await mode_of(element) == "rw"
        assert (await element.put(b"data")).status == 201


async def test_a_confirmed_change_is_kept_journalled_and_audited(start: StartElement) -> None:
    administrator = MINT(scope="storage:admin", name="ada")
    async with start(element=WRITE_ONCE) as element:
        plan = await validated(element, "ro", reason="the year is complete")
        with structlog.testing.capture_logs() as logs:
            answer = await element.request(
                "POST",
                "/api/v1/mode/transition",
                token=administrator,
                json={"mode": "ro", "confirmation": plan["confirmation"], "on_behalf_of": "the archive"},
            )
        journal = await element.get("/api/v1/journal")
        said = await element.get("/api/v1/mode")
        kept = json.loads((element.root / "element.json").read_bytes())

        assert (answer.status, answer.json()["status"]) == (200, "confirmed")
        assert [(entry["operation"], entry.get("mode")) for entry in journal["items"]] == [("mode", "ro")]
        assert (said["mode"], said["next_modes"]) == ("ro", ["ar", "rw"])
        first, second = said["history"]
        assert first["mode"] == "rw"
        assert {**second, "since": ""} == {
            "mode": "ro",
            "since": "",
            "by": "ada",
            "on_behalf_of": "the archive",
            "reason": "the year is complete",
        }
        assert [period["mode"] for period in kept["mode_history"]] == ["rw", "ro"]
        [audited] = [each for each in logs if each["event"] == "mode_changed"]
        assert (audited["from_mode"], audited["mode"], audited["by"]) == ("rw", "ro", "ada")

    async with start(element=WRITE_ONCE) as element:
        assert await element.get("/api/v1/mode") == said


async def test_going_back_needs_an_explicit_word(start: StartElement) -> None:
    async with start(element={"mode": "ro"}) as element:
        plan = await validated(element, "rw")

        refused = await confirm(element, plan)
        done = await confirm(element, plan, reopen=True)

        assert plan["needs_reopen"] is True
        assert (refused.status, refused.json()["errors"][0]["path"]) == (400, "reopen")
        assert done.status == 200
        assert (await element.put(b"data")).status == 201


async def test_a_repeated_confirmation_is_told_that_it_is_done(start: StartElement) -> None:
    async with start(element=WRITE_ONCE) as element:
        plan = await validated(element, "ro")
        first = await confirm(element, plan)
        second = await confirm(element, plan)

        assert first.json() == second.json()
        assert len((await element.get("/api/v1/journal"))["items"]) == 1

    async with start() as element:
        assert (await confirm(element, plan)).json() == first.json()


async def test_a_confirmation_is_good_for_its_change_only(
    start: StartElement, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(element={"mode": "ro"}) as element:
        to_archive, back = await validated(element, "ar"), await validated(element, "rw")

        made_up = await ask(element, "ar", confirmation="made-up")
        of_another = await ask(element, "ar", confirmation=back["confirmation"])
        monkeypatch.setattr(proposals, "LIFETIME", 0.0)
        expired = await confirm(element, await validated(element, "ar"))
        await confirm(element, back, reopen=True)
        await change_mode_back(element)
        outlived = await confirm(element, to_archive)

        for answer in (made_up, of_another, expired, outlived):
            assert (answer.status, answer.problem) == (412, "precondition-failed")


async def change_mode_back(element: ElementClient) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(proposals, "LIFETIME", 60.0)
        await change_mode(element, "ro")


@pytest.mark.parametrize("scope", ["storage:read", "storage:write"])
async def test_only_an_administrator_of_storage_changes_a_mode(element: ElementClient, scope: str) -> None:
    answer = await element.request(
        "POST", "/api/v1/mode/transition", token=MINT(scope=scope), json={"mode": "ro"}
    )

    assert (answer.status, answer.problem) == (403, "forbidden")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"mode": "worm"}, "mode"),
        ({"mode": "ro", "reason": ""}, "reason"),
        ({"mode": "ro", "wait": -1}, "wait"),
        ({"mode": "ro", "force": True}, "force"),
        ({}, "mode"),
    ],
)
async def test_a_malformed_request_names_what_to_change(
    element: ElementClient, fields: dict[str, Any], path: str
) -> None:
    answer = await element.request(
        "POST", "/api/v1/mode/transition", token=MINT(scope="storage:admin"), json=fields
    )

    assert answer.status == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_slow_upload_ends_before_the_change_and_new_ones_are_refused_at_once(
    start: StartElement,
) -> None:
    async with start(element=WRITE_ONCE) as element, connection(element) as (reader, writer):
        file_id = new_file_id()
        writer.write(upload_head(file_id, content_length=6) + b"slow")
        await wait_until_under_way(element)

        plan = await validated(element, "ro")
        confirming = asyncio.create_task(confirm(element, plan))
        await wait_until_changing(element)
        refused = await element.put(b"too late")
        still = (await element.get("/api/v1/mode"))["mode"]
        writer.write(b"ly")
        status = await reader.readline()
        done = await confirming

        assert plan["under_way"] == {"create": 1}
        assert (refused.status, refused.problem) == (409, "mode-not-allowed")
        assert "mode ro" in refused.json()["detail"]
        assert still == "rw"
        assert b"201" in status
        assert done.status == 200
        journal = (await element.get("/api/v1/journal"))["items"]
        assert [entry["operation"] for entry in journal] == ["create", "mode"]
        assert await element.download(str(file_id)) == b"slowly"


async def test_a_change_that_does_not_get_its_turn_leaves_the_mode_and_can_be_confirmed_again(
    start: StartElement,
) -> None:
    async with start(element=WRITE_ONCE) as element:
        async with connection(element) as (_, writer):
            writer.write(upload_head(new_file_id(), content_length=6) + b"slow")
            await wait_until_under_way(element)
            plan = await validated(element, "ro")

            given_up = await confirm(element, plan, wait=0.05)
            open_again = await element.put(b"data")

        assert (given_up.status, given_up.problem) == (503, "unavailable")
        assert "1 create" in given_up.json()["detail"]
        assert open_again.status == 201
        assert (await confirm(element, plan)).status == 200
        assert await mode_of(element) == "ro"


async def wait_until_under_way(element: ElementClient) -> None:
    await element.wait_for_metric("artstore_element_wal_pending", 1)


async def wait_until_changing(element: ElementClient) -> None:
    while True:
        if "changing_to" in await element.get("/api/v1/mode"):
            return
        await asyncio.sleep(POLL_INTERVAL)


async def test_a_change_that_the_storage_refuses_leaves_the_mode(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap, element=WRITE_ONCE) as element:
        plan = await validated(element, "ro")
        faults.storage.fault_before_put = down
        failed = await confirm(element, plan)
        faults.heal()

        assert failed.status == 503
        assert await mode_of(element) == "rw"
        assert (await element.put(b"data")).status == 201
        assert await element.metric("artstore_element_wal_rolled_back_total") == 1
        assert (await confirm(element, plan)).status == 200


async def test_a_change_whose_answer_of_the_storage_was_lost_is_done(
    start: StartElement, faults: Faults
) -> None:
    async with start(wrap=faults.wrap, element=WRITE_ONCE) as element:
        plan = await validated(element, "ro")
        faults.storage.fault_after_put = down
        failed = await confirm(element, plan)
        faults.heal()

        assert failed.status == 503
        assert await mode_of(element) == "ro"
        assert (await confirm(element, plan)).json()["status"] == "confirmed"
        journal = (await element.get("/api/v1/journal"))["items"]
        assert [entry["operation"] for entry in journal] == ["mode"]


async def test_while_nobody_knows_the_mode_only_what_both_allow_is_done(
    start: StartElement, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UPKEEP_INTERVAL", 0.02)
    async with start(wrap=faults.wrap, element=WRITE_ONCE) as element:
        stored = await element.stored(b"data")
        plan = await validated(element, "ro")
        faults.storage.fault_after_put = down
        faults.storage.fault_on_get = lambda key: down(key) if key == "element.json" else None
        failed = await confirm(element, plan)
        refused = await element.put(b"data")
        read = await element.download(stored["file_id"])
        faults.heal()
        await element.wait_for_metric("artstore_element_wal_pending", 0)

        assert failed.status == 503
        assert (refused.status, refused.problem) == (409, "mode-not-allowed")
        assert read == b"data"
        assert await mode_of(element) == "ro"


async def test_what_was_interrupted_is_settled_before_the_change(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap, element=WRITE_ONCE) as element:
        faults.storage.fault_after_put = lambda key: down(key) if key.endswith(".attr.json") else None
        faults.storage.fault_on_get = down
        lost = await element.put(b"data", file_id=new_file_id())
        plan = await validated(element, "ro")
        faults.storage.fault_after_put = no_fault
        blocked = await confirm(element, plan)
        faults.heal()
        done = await confirm(element, plan)

        assert lost.status == 503
        assert plan["pending"] == 1
        assert blocked.status == 503
        assert done.status == 200
        journal = (await element.get("/api/v1/journal"))["items"]
        assert [entry["operation"] for entry in journal] == ["create", "mode"]


async def test_an_interrupted_change_is_finished_or_undone_as_the_root_says(
    start: StartElement, tmp_path: Any
) -> None:
    async with start(element=WRITE_ONCE) as element:
        await change_mode(element, "ro")
    in_catalog(
        tmp_path,
        "DELETE FROM catalog_journal",
        "UPDATE catalog_wal SET status = 'pending', completed_at = NULL",
    )
    async with start() as element:
        journal = (await element.get("/api/v1/journal"))["items"]
        finished = await element.metric("artstore_element_wal_recovered_total")
    in_catalog(tmp_path, "UPDATE catalog_wal SET status = 'pending', mode = 'ar'")

    async with start() as element:
        assert finished == 1
        assert [entry["mode"] for entry in journal] == ["ro"]
        assert await element.metric("artstore_element_wal_rolled_back_total") == 1
        assert await mode_of(element) == "ro"


async def test_a_configured_mode_that_is_not_the_root_s_is_told_once(start: StartElement) -> None:
    async with start(element=WRITE_ONCE) as element:
        await change_mode(element, "ro")

    with structlog.testing.capture_logs() as logs:
        async with start(element=WRITE_ONCE):
            pass
        async with start():
            pass

    [warning] = [each for each in logs if each["event"] == "configured_mode_ignored"]
    assert (warning["configured"], warning["mode"]) == ("rw", "ro")

"""A mode that is changed through admin: element, registry, ingester and index each have it and go on."""

from typing import Any
from uuid import UUID

import pytest

from artstore.core.ids import new_file_id
from tests.services.ingester.harness import Ingesting, start_ingesting
from tests.services.roles import Roles, described
from tests.services.storage_element.harness import Answer

WRITE_ONCE = {"mode": "rw"}


@pytest.fixture
async def cluster(roles: Roles) -> Ingesting:
    """Two elements in ``rw``; the first is filled first."""
    elements = [
        await roles.start_element(name, element={**WRITE_ONCE, "priority": number})
        for number, name in enumerate(("se-01", "se-02"))
    ]
    return await start_ingesting(roles, elements, ingester={"elements_refresh": 60})


async def ask(cluster: Ingesting, element_id: str, *, account: str = "administrator", **body: Any) -> Answer:
    url = f"{cluster.admin.url}/api/v1/storage-elements/{element_id}/mode"
    return await cluster.roles.request("POST", url, json=body, token=await cluster.roles.token(account))


async def change(cluster: Ingesting, element_id: str, mode: str) -> Answer:
    plan = (await ask(cluster, element_id, mode=mode)).json()
    return await ask(cluster, element_id, mode=mode, confirmation=plan["confirmation"], reason="full")


async def registered_mode(cluster: Ingesting, element_id: str) -> str:
    url = f"{cluster.admin.url}/api/v1/storage-elements/{element_id}"
    return str((await cluster.roles.request("GET", url)).json()["mode"])


async def test_the_registry_has_the_new_mode_at_once_and_the_element_knows_who_wanted_it(
    cluster: Ingesting,
) -> None:
    validated = await ask(cluster, "se-01", mode="ro")
    before = await registered_mode(cluster, "se-01")
    confirmed = await change(cluster, "se-01", "ro")

    assert (validated.status, validated.json()["status"], before) == (200, "validated", "rw")
    assert (confirmed.status, confirmed.json()["status"]) == (200, "confirmed")
    assert await registered_mode(cluster, "se-01") == "ro"
    said = await cluster.roles.request("GET", f"{cluster.elements[0].url}/api/v1/mode")
    last = said.json()["history"][-1]
    assert (last["by"], last["on_behalf_of"], last["reason"]) == ("admin", "administrator", "full")


async def test_uploads_go_elsewhere_as_soon_as_an_element_leaves_rw(cluster: Ingesting) -> None:
    first = (await cluster.post()).json()
    await change(cluster, "se-01", "ro")

    # The ingester has not looked at the registry since: it is the element that refuses.
    second = await cluster.post()

    assert first["element_id"] == "se-01"
    assert (second.status, second.json()["element_id"]) == (201, "se-02")
    assert await cluster.content(first["file_id"]) == b"content"


async def test_the_index_reads_on_beyond_a_change_of_mode(cluster: Ingesting) -> None:
    await change(cluster, "se-01", "ro")
    plan = (await ask(cluster, "se-01", mode="rw")).json()
    await ask(cluster, "se-01", mode="rw", confirmation=plan["confirmation"], reopen=True)
    url = f"{cluster.elements[0].url}/api/v1/files/{new_file_id()}/content"
    stored = (await cluster.roles.request("PUT", url, data=b"direct", headers=described())).json()

    await cluster.roles.wait_until_indexed(cluster.admin, UUID(stored["attributes"]["file_id"]))

    lag = await cluster.roles.metric(cluster.admin, "artstore_index_lag_records", element_id="se-01")
    assert (stored["entry"]["sequence"], lag) == (3, 0)


async def test_what_the_element_refuses_is_passed_on(cluster: Ingesting) -> None:
    forbidden = await ask(cluster, "se-01", mode="ar")
    stale = await ask(cluster, "se-01", mode="ro", confirmation="made-up")
    unknown = await ask(cluster, "se-09", mode="ro")
    malformed = await ask(cluster, "se-01", mode="ro", on_behalf_of="somebody else")

    assert (forbidden.status, forbidden.problem) == (409, "mode-transition-not-allowed")
    assert "from mode rw to ar" in forbidden.json()["detail"]
    assert (stale.status, stale.problem) == (412, "precondition-failed")
    assert (unknown.status, unknown.problem) == (404, "not-found")
    assert malformed.json()["errors"][0]["path"] == "on_behalf_of"


async def test_only_an_administrator_of_storage_may(cluster: Ingesting) -> None:
    answer = await ask(cluster, "se-01", account="ingester", mode="ro")

    assert (answer.status, answer.problem) == (403, "forbidden")


async def test_an_element_that_is_away_is_told(cluster: Ingesting) -> None:
    await cluster.elements[0].stop()

    answer = await ask(cluster, "se-01", mode="ro")

    assert (answer.status, answer.problem) == (503, "unavailable")

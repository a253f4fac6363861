"""What an element says of itself: information, capacity, health, metrics, its API."""

import asyncio

from openapi_spec_validator import OpenAPIV31SpecValidator

from artstore.core.spec import Usage
from tests.services.storage_element.faulty_storage import Faults, FaultyStorage, down, with_free_space
from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement

OPERATIONS = "artstore_element_operations_total"
BYTES = "artstore_element_operation_bytes_total"
DURATION = "artstore_element_operation_duration_seconds_count"


async def test_an_element_says_what_it_is(start: StartElement) -> None:
    async with start(element={"mode": "rw", "name": "Подвал", "priority": 7}) as element:
        await element.stored(b"data")

        info = await element.get("/api/v1/info")

    assert (info["element_id"], info["name"], info["mode"], info["priority"]) == ("se-01", "Подвал", "rw", 7)
    assert info["allowed_operations"] == ["create", "read", "read_metadata", "update"]
    assert info["capabilities"] == [
        "atomic_batch",
        "atomic_put",
        "durable_put",
        "exclusive_use",
        "local_paths",
        "strangers",
    ]
    assert (info["file_count"], info["last_sequence"], info["storage_type"]) == (1, 1, "local")


async def test_capacity_is_seen_as_it_is_now(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.free = 10**15

        capacity = await element.get("/api/v1/capacity")

        assert capacity == {"total": 10**15, "used": 0, "free": 10**15, "status": "ok"}


async def test_capacity_warns_before_it_is_full(start: StartElement) -> None:
    thresholds = {
        "warning": {"fraction": 0.999999, "size": 10**18},
        "critical": {"fraction": 0, "size": 0},
        "full": {"fraction": 0, "size": 0},
    }
    async with start(element={"capacity": thresholds}) as element:
        capacity = await element.get("/api/v1/capacity")

        assert capacity["status"] == "warning"
        assert await element.metric("artstore_element_capacity_status", status="warning") == 1
        assert await element.metric("artstore_element_capacity_status", status="ok") == 0
        assert (await element.put(b"data")).status == 201


class Unlimited(FaultyStorage):
    """A storage that cannot know how much room it has."""

    async def usage(self) -> Usage:
        return Usage(used=0)


async def test_a_storage_that_knows_no_limit_is_never_full(start: StartElement) -> None:
    async with start(wrap=Unlimited) as element:
        capacity = await element.get("/api/v1/capacity")

        assert capacity == {"used": 0, "status": "ok"}
        assert (await element.put(b"data")).status == 201


async def test_a_ready_element_names_what_it_looked_at(element: ElementClient) -> None:
    await element.stored(b"data")

    readiness = await element.get("/health/ready")

    assert readiness["status"] == "ok"
    assert readiness["checks"]["catalog"]["detail"] == "1 files, position 1"
    assert readiness["checks"]["storage"]["status"] == "ok"


async def test_an_element_without_its_storage_is_not_ready(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_on_usage = down

        answer = await element.request("GET", "/health/ready")

        assert answer.status == 503
        assert answer.json()["checks"]["storage"] == {"status": "fail", "detail": "the storage is down"}
        assert await element.metric("artstore_dependency_up", dependency="storage") == 0


async def test_files_and_positions_are_measured(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    await element.stored(b"more")
    await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")

    assert await element.metric("artstore_element_files") == 1
    assert await element.metric("artstore_element_journal_position") == 3
    assert await element.metric("artstore_element_wal_pending") == 0


async def test_operations_are_measured(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    url = f"/api/v1/files/{stored['file_id']}"
    await element.download(stored["file_id"])
    await element.request("GET", f"{url}/download", headers={"Range": "bytes=0-1"})
    await element.request("HEAD", f"{url}/download")
    await element.request("PATCH", url, json={"tags": ["new"]})
    await element.request("DELETE", url)

    for operation, count in {"upload": 1, "download": 3, "update": 1, "delete": 1}.items():
        assert await element.metric(OPERATIONS, operation=operation, outcome="done") == count
        assert await element.metric(DURATION, operation=operation) == count
    assert await element.metric(BYTES, operation="upload") == 4
    assert await element.metric(BYTES, operation="download") == 6


async def test_outcomes_are_told_apart(element: ElementClient) -> None:
    stored = await element.stored(b"data")
    (await element.placed_files())[0].unlink()

    await element.put(b"other", file_id=stored["file_id"])
    await element.request("GET", f"/api/v1/files/{stored['file_id']}/download")

    assert await element.metric(OPERATIONS, operation="upload", outcome="refused") == 1
    assert await element.metric(OPERATIONS, operation="download", outcome="failed") == 1


async def test_space_is_measured(start: StartElement) -> None:
    async with start(wrap=with_free_space(10**15)) as element:
        assert await element.metric("artstore_element_capacity_bytes", kind="total") == 10**15
        assert await element.metric("artstore_element_capacity_bytes", kind="free") == 10**15
        assert await element.metric("artstore_element_capacity_bytes", kind="used") == 0


async def test_the_api_is_described(element: ElementClient) -> None:
    document = await element.get("/api/v1/openapi.json")

    errors = await asyncio.to_thread(lambda: list(OpenAPIV31SpecValidator(document).iter_errors()))

    assert errors == []
    assert set(document["paths"]["/api/v1/files/{file_id}/content"]) == {"put"}
    assert "507" in document["paths"]["/api/v1/files/upload"]["post"]["responses"]

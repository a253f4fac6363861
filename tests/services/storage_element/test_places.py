"""Places in a root where nothing can be stored, or that no sync reaches: what belongs there is refused, and
nothing else.
"""

from datetime import UTC, datetime
from pathlib import Path

from artstore.core.testing import IssuerServer
from tests.environments import missing
from tests.services.storage_element.processes import element_process
from tests.services.storage_element.test_disk_full import IN_OWN_MOUNTS, may_mount
from tests.services.storage_element.test_read_only import LARGE, NOBODY_SPECIAL


async def test_a_directory_that_may_not_be_written_to_holds_up_its_own_files_only(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    if not may_mount():
        missing("this machine allows no user namespaces")
    async with element_process(tmp_path, issuer.jwks_url, launcher=NOBODY_SPECIAL) as process:
        element = process.client
        stored = await element.stored(b"data")
        [data, _] = await element.placed_files()
        hour = data.parent
        hour.chmod(0o550)

        refused = [await element.put(b"small"), await element.put(LARGE)]
        ready = await element.get("/health/ready")
        hour.chmod(0o750)

        assert [answer.status for answer in refused] == [503, 503]
        assert "may not be written to" in refused[0].json()["detail"]
        assert ready["checks"]["lease"]["status"] == "ok"
        assert (await element.put(b"small")).status == 201
        assert await element.download(stored["file_id"]) == b"data"


async def test_below_another_file_system_nothing_is_stored(issuer: IssuerServer, tmp_path: Path) -> None:
    """What lies there, a sync of the root does not make durable."""
    if not may_mount():
        missing("this machine allows no mounts in user namespaces")
    now = datetime.now(UTC)
    year = tmp_path / "storage" / f"{now:%Y}"
    year.mkdir(parents=True)
    launcher = (*IN_OWN_MOUNTS, f'mount -t tmpfs none {year} && exec "$@"', "sh")
    async with element_process(tmp_path, issuer.jwks_url, launcher=launcher) as process:
        refused = [await process.client.put(b"small"), await process.client.put(LARGE)]

        for answer in refused:
            assert answer.status == 503
            assert "another file system" in answer.json()["detail"]
        await process.client.assert_nothing_kept()

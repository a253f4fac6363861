"""The authentication metrics of roles that call others, seen to move over HTTP."""

from tests.services.admin.harness import eventually
from tests.services.ingester.harness import start_ingesting
from tests.services.query.harness import start_querying
from tests.services.roles import Roles, RoleServer


class Numbers:
    """The authentication metrics of one role."""

    def __init__(self, roles: Roles, server: RoleServer) -> None:
        self._roles = roles
        self._server = server

    async def read(self, name: str, **labels: str) -> float:
        return await self._roles.metric(self._server, f"auth_{name}", **labels)

    async def check(self) -> None:
        """One token was fetched, and given to every caller since."""
        assert await self.read("token_source_total", source="cache") >= 1
        assert await self.read("token_source_total", source="fresh_request") >= 1
        assert await self.read("token_requests_total", status="success", error_type="none") == 1
        assert await self.read("token_refresh_total", status="success", trigger="expired") == 1
        assert await self.read("token_validation_total", result="missing") >= 1
        assert await self.read("token_validation_total", result="valid") >= 1
        assert await self.read("token_acquisition_duration_seconds_count") >= 2
        assert await self.read("token_refresh_duration_seconds_count") == 1
        assert 0 < await self.read("token_ttl_seconds") <= 1800
        assert 0 < await self.read("token_cache_hit_rate") < 100


async def test_the_numbers_of_the_ingester_move_and_its_token_outlives_admin(roles: Roles) -> None:
    ingesting = await start_ingesting(roles, [await roles.start_element()])
    numbers = Numbers(roles, ingesting.ingester)
    before = await numbers.read("token_source_total", source="cache")
    assert (await ingesting.post()).status == 201
    assert await numbers.read("token_source_total", source="cache") > before
    await numbers.check()

    await ingesting.admin.stop()

    assert (await ingesting.post()).status == 201


async def test_the_numbers_of_query_move_and_its_token_outlives_admin(roles: Roles) -> None:
    querying = await start_querying(roles)
    file = await querying.stored()
    for _ in range(3):
        assert (await querying.download(file["file_id"])).status == 200
    await Numbers(roles, querying.query).check()

    await querying.admin.stop()

    assert (await querying.download(file["file_id"])).status == 200


async def test_a_role_that_gets_no_token_counts_why(roles: Roles) -> None:
    numbers = Numbers(roles, await roles.start("ingester"))
    admin_url = roles.settings().url("admin")

    async def errors() -> float:
        return await numbers.read("errors_total", error_type="connection", admin_module_url=admin_url)

    assert await eventually(errors) >= 1
    assert await numbers.read("token_requests_total", status="failure", error_type="connection") >= 1

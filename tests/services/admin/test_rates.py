"""How often one may ask admin for tokens, and every role for anything. Over HTTP."""

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from artstore.core.client.tokens import ClientCredentials
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import FILES, TOKEN, AdminClient, claims_of
from tests.services.admin.people import PASSWORD, REFRESH, admin_with_people, login_from, try_login
from tests.services.admin.people import WRONG as WRONG_PASSWORD
from tests.services.roles import Roles
from tests.services.storage_element.harness import Answer

BEHIND_A_PROXY = {"trusted_proxies": ["127.0.0.1", "10.1.0.0/16"]}
WRONG = "ars_wrong"


def limits(**given: Any) -> dict[str, Any]:
    """The section ``[server]``, with proxies that tell whom they speak for."""
    return {**BEHIND_A_PROXY, "rate_limits": given}


async def ask(admin: AdminClient, who: ClientCredentials, *, via: Sequence[str] = ()) -> Answer:
    """Ask for a token; ``via`` is what X-Forwarded-For says, one header each."""
    headers = [("Authorization", encode_basic_auth(who.client_id, who.client_secret))]
    headers += [("X-Forwarded-For", addresses) for addresses in via]
    return await admin.send("POST", TOKEN, headers=headers, data={"grant_type": "client_credentials"})


def guess(who: ClientCredentials) -> ClientCredentials:
    return ClientCredentials(who.client_id, WRONG)


async def test_an_address_gets_only_so_many_answers_to_credentials_right_or_wrong(start: StartAdmin) -> None:
    async with start(server=limits(credentials=3)) as admin:
        who = admin.credentials()

        answers = [await ask(admin, each, via=["192.0.2.1"]) for each in (who, guess(who), who, who)]
        elsewhere = await ask(admin, who, via=["192.0.2.2"])

        assert [answer.status for answer in answers] == [200, 401, 200, 429]
        assert answers[-1].problem == "too-many-requests"
        assert elsewhere.status == 200
        assert await admin.metric("artstore_rate_limit_rejections_total", policy="address") == 1


async def test_every_answer_tells_what_is_left_and_a_refusal_when_to_come_back(start: StartAdmin) -> None:
    async with start(server=limits(credentials=2)) as admin:
        answers = [await ask(admin, admin.credentials()) for _ in range(3)]

    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"address";q=2;w=60'}
    found = [re.fullmatch(r'"address";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [match and int(match[1]) for match in found] == [1, 0, 0]
    assert found[-1] is not None
    assert 0 < int(found[-1][2]) <= 60
    assert answers[-1].headers["Retry-After"] == found[-1][2]


async def test_a_refused_address_costs_no_look_at_its_credentials(start: StartAdmin) -> None:
    async with start(server=limits(credentials=1)) as admin:
        await ask(admin, admin.credentials())

        refused = await admin.send("POST", TOKEN, data=b"x" * 100_000)

        assert refused.status == 429
        assert await admin.metric("artstore_token_requests_total", outcome="issued") == 1
        assert await admin.metric("artstore_token_requests_total", outcome="failed") == 0


async def test_many_addresses_together_get_only_so_many_guesses_at_one_client(start: StartAdmin) -> None:
    async with start(server=limits(failures=5)) as admin:
        victim = ClientCredentials("sa_dev_nobody_00000000", WRONG)

        answers = [await ask(admin, victim, via=[f"192.0.2.{number}"]) for number in range(12)]

        statuses = [answer.status for answer in answers]
        assert statuses == [401] * 5 + [429] * 7
        assert answers[-1].headers["RateLimit"].startswith('"failures";r=0;t=')
        assert await admin.metric("artstore_rate_limit_rejections_total", policy="failures") == 7


async def test_guessing_does_not_lock_the_client_out_where_it_is_known(start: StartAdmin) -> None:
    async with start(server=limits(failures=3)) as admin:
        who = admin.credentials()
        assert (await ask(admin, who, via=["192.0.2.1"])).status == 200

        for number in range(10, 20):
            await ask(admin, guess(who), via=[f"192.0.2.{number}"])

        assert (await ask(admin, who, via=["192.0.2.1"])).status == 200
        assert (await ask(admin, who, via=["192.0.2.99"])).status == 429
        assert (await ask(admin, admin.credentials("query"), via=["192.0.2.99"])).status == 200


async def test_a_right_secret_is_no_failure_however_often_it_is_sent(start: StartAdmin) -> None:
    async with start(server=limits(failures=2)) as admin:
        assert {(await ask(admin, admin.credentials())).status for _ in range(6)} == {200}


@pytest.mark.parametrize(
    ("forwarded", "is_one_client"),
    [
        (["203.0.113.1, 192.0.2.1", "203.0.113.2, 192.0.2.1"], True),
        (["192.0.2.1, 10.1.2.3", "192.0.2.1, 10.1.9.9"], True),
        (["2001:db8::1", "2001:db8::ffff:1"], True),
        (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["192.0.2.1", "192.0.2.2"], False),
        (["made up, 192.0.2.1", "192.0.2.1"], True),
        (["::ffff:192.0.2.1", "192.0.2.1"], True),
    ],
    ids=["what-clients-claim", "chain-of-proxies", "one-site", "two-sites", "two", "garbage", "mapped"],
)
async def test_the_last_stranger_that_a_listed_proxy_names_is_the_client(
    start: StartAdmin, forwarded: list[str], is_one_client: bool
) -> None:
    async with start(server=limits(credentials=1)) as admin:
        statuses = [(await ask(admin, admin.credentials(), via=[each])).status for each in forwarded]

    assert statuses == [200, 429 if is_one_client else 200]


async def test_nobody_else_is_believed_about_addresses(start: StartAdmin) -> None:
    async with start(server={"rate_limits": {"credentials": 1}}) as admin:
        statuses = [
            (await ask(admin, admin.credentials(), via=[f"192.0.2.{number}"])).status for number in (1, 2)
        ]

    assert statuses == [200, 429]


@pytest.mark.parametrize("role", ["admin", "element", "ingester", "query"])
async def test_a_token_permits_as_many_requests_at_a_role_as_it_says(roles: Roles, role: str) -> None:
    limited: dict[str, Mapping[str, object]] = {"admin": {"rate_limit": 2}}
    servers = {"admin": await roles.start("admin", **limited)}
    starts: dict[str, Callable[[], Awaitable[Any]]] = {
        "element": roles.start_element,
        "ingester": lambda: roles.start("ingester"),
        "query": lambda: roles.start("query"),
    }
    if role in starts:
        servers[role] = await starts[role]()
    created = await roles.request(
        "POST",
        f"{servers['admin'].url}/api/v1/service-accounts",
        json={"name": "billing", "role": "ADMIN"},
    )
    account = created.json()
    token = await roles.issue_to(account["client_id"], account["client_secret"])
    paths = {
        "admin": "/api/v1/files",
        "element": "/api/v1/info",
        "ingester": "/api/v1/finalizations/0198f0c0-0000-7000-8000-000000000000",
        "query": "/api/v1/files/0198f0c0-0000-7000-8000-000000000000",
    }

    answers = [await roles.request("GET", servers[role].url + paths[role], token=token) for _ in range(3)]

    assert [answer.status == 429 for answer in answers] == [False, False, True]
    assert answers[0].headers["RateLimit"].startswith('"client";r=1;t=')
    assert math.isclose(float(answers[2].headers["Retry-After"]), 30, abs_tol=30)
    assert await roles.metric(servers[role], "artstore_rate_limit_rejections_total", policy="client") == 1


async def test_artstore_itself_is_not_limited(roles: Roles) -> None:
    await roles.start("admin", admin={"rate_limit": 2})

    assert "rate_limit" not in claims_of(await roles.token("ingester"))


async def test_the_limit_of_an_account_holds_be_it_more_or_less_than_that_of_the_cluster(
    start: StartAdmin,
) -> None:
    async with start(admin_options={"rate_limit": 2}) as admin:
        permitted: list[int] = []
        for own in ({"rate_limit": 1}, {"rate_limit": 4}, {}):
            account = await admin.create_account(f"account-{len(permitted)}", **own)
            token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
            answers = [await admin.request("GET", FILES, token=token) for _ in range(5)]
            permitted.append(sum(answer.status == 200 for answer in answers))

    assert permitted == [1, 4, 2]


async def test_an_address_gets_only_so_many_answers_to_logins(people_before: Path, tmp_path: Path) -> None:
    async with admin_with_people(people_before, tmp_path, server=limits(credentials=3)) as admin:
        near, far = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
        passwords = (WRONG_PASSWORD, PASSWORD, WRONG_PASSWORD, PASSWORD)
        answers = [await try_login(admin, "anna", each, headers=near) for each in passwords]
        refreshed = await admin.send("POST", REFRESH, json={"refresh_token": "x"}, headers=near)
        elsewhere = await try_login(admin, "anna", headers=far)

        assert [answer.status for answer in answers] == [401, 200, 401, 429]
        assert (answers[-1].problem, refreshed.status) == ("too-many-requests", 429)
        assert answers[-1].headers["RateLimit-Policy"] == '"address";q=3;w=60'
        assert answers[-1].headers["RateLimit"] == f'"address";r=0;t={answers[-1].headers["Retry-After"]}'
        assert elsewhere.status == 200
        assert await admin.metric("artstore_rate_limit_rejections_total", policy="address") == 2


async def test_who_logs_in_chooses_no_address_but_through_a_listed_proxy(
    people_before: Path, tmp_path: Path
) -> None:
    server = {"trusted_proxies": ["127.0.0.9"], "rate_limits": {"credentials": 1}}
    async with admin_with_people(people_before, tmp_path, server=server) as admin:
        claimed = [
            await try_login(admin, "anna", headers={"X-Forwarded-For": f"192.0.2.{number}"})
            for number in (1, 2)
        ]
        neighbour = await login_from(admin, "127.0.0.3", "anna", PASSWORD)

    assert [answer.status for answer in claimed] == [200, 429]
    assert neighbour.status == 200

"""Attacks on people's accounts, over HTTP: each is tried, and fails."""

import asyncio
import base64
import json
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from artstore.core.client.tokens import ClientCredentials
from artstore.core.scopes import person_scopes
from tests.services.admin.harness import ACCOUNTS, AdminClient, claims_of, eventually, sql
from tests.services.admin.people import (
    LOGIN,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    PEOPLE,
    WRONG,
    admin_with_people,
    log_in,
    login_from,
    person,
    try_change,
    try_login,
    try_refresh,
    works,
)
from tests.services.roles import Roles
from tests.services.storage_element.harness import Answer

GUESSES: Final = 2
"""So many wrong passwords are tried before the lock; by default it is five, each of which takes its time."""


@pytest.fixture
async def people(people_before: Path, tmp_path: Path) -> AsyncGenerator[AdminClient, None]:
    options = {"logins": {"max_failures": GUESSES}}
    async with admin_with_people(people_before, tmp_path, admin_options=options) as admin:
        yield admin


async def test_replayed_refresh_token_of_a_victim_who_has_refreshed(people: AdminClient) -> None:
    stolen = (await log_in(people, "anna"))["refresh_token"]
    victim = (await try_refresh(people, stolen)).json()

    thief = await try_refresh(people, stolen)

    # Who of the two is the thief cannot be told: both have to log in again.
    assert (thief.status, thief.problem) == (401, "unauthenticated")
    assert (await try_refresh(people, victim["refresh_token"])).status == 401
    assert not await works(people, victim["access_token"])


async def test_stolen_refresh_token_that_the_thief_uses_first(people: AdminClient) -> None:
    stolen = (await log_in(people, "anna"))["refresh_token"]
    thief = (await try_refresh(people, stolen)).json()
    thief = (await try_refresh(people, thief["refresh_token"])).json()

    victim = await try_refresh(people, stolen)

    assert victim.status == 401
    assert (await try_refresh(people, thief["refresh_token"])).status == 401
    assert not await works(people, thief["access_token"])


async def test_refresh_token_used_as_access_token_and_the_reverse(people: AdminClient) -> None:
    tokens = await log_in(people, "anna")

    as_access = await people.request("GET", ME, token=tokens["refresh_token"])
    as_refresh = await try_refresh(people, tokens["access_token"])

    assert (as_access.status, as_access.problem) == (401, "unauthenticated")
    assert (as_refresh.status, as_refresh.problem) == (401, "unauthenticated")


async def test_forged_refresh_token(people: AdminClient) -> None:
    token = (await log_in(people, "anna"))["refresh_token"]
    header, payload, signature = token.split(".")
    somebody_else = claims_of(token) | {"sub": (await person(people, "admin"))["id"]}
    forged = [
        f"{encoded({'alg': 'none'})}.{payload}.",
        f"{header}.{encoded(somebody_else)}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{token}=",
        f" {token}",
        "' OR 1=1 --",
        "\x00",
    ]

    answers = [await try_refresh(people, each) for each in forged]

    assert [answer.status for answer in answers] == [401] * len(forged)
    # The session does not end: whoever can invent tokens must not be able to log others out.
    assert (await try_refresh(people, token)).status == 200


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_brute_force_one_after_the_other(people: AdminClient) -> None:
    answers = [await try_login(people, "anna", f"{WRONG}{number}") for number in range(GUESSES + 3)]

    assert [answer.status for answer in answers] == [401] * GUESSES + [423] * 3
    assert (await try_login(people, "anna", PASSWORD)).status == 423


async def test_brute_force_all_at_once(people: AdminClient) -> None:
    answers = await asyncio.gather(*(try_login(people, "anna", f"{WRONG}{number}") for number in range(40)))

    assert sorted(answer.status for answer in answers) == [401] * GUESSES + [423] * (40 - GUESSES)


async def test_brute_force_by_many_addresses(people: AdminClient) -> None:
    addresses = [f"127.0.{third}.{fourth}" for third in range(1, 5) for fourth in range(1, 11)]

    answers = [await login_from(people, address, "anna", WRONG) for address in addresses]

    assert [answer.status for answer in answers] == [401] * GUESSES + [423] * (40 - GUESSES)


async def test_locking_everybody_out_by_many_addresses(people: AdminClient) -> None:
    """Who has logged in from somewhere can do so again, and whoever is logged in stays it."""
    sessions = {
        username: (await login_from(people, "127.0.0.9", username, PASSWORD)).json()
        for username in ("admin", "anna")
    }
    for username in sessions:
        for number in range(GUESSES + 1):
            await login_from(people, f"127.0.7.{number}", username, WRONG)

    for username, session in sessions.items():
        assert (await login_from(people, "127.0.0.9", username, PASSWORD)).status == 200
        assert (await try_refresh(people, session["refresh_token"])).status == 200
    # And somebody who runs the cluster can let in who comes from elsewhere.
    answer = await people.request("POST", f"{PEOPLE}/{(await person(people, 'anna'))['id']}/unlock")
    assert answer.status == 200
    assert (await login_from(people, "127.0.7.200", "anna", PASSWORD)).status == 200


async def test_guessing_the_password_of_a_stolen_session_through_its_change(people: AdminClient) -> None:
    answers = [
        await try_change(people, "anna", old=f"{WRONG}{number}", new=NEW_PASSWORD)
        for number in range(GUESSES + 1)
    ]

    assert [answer.status for answer in answers] == [401] * GUESSES + [423]


async def test_enumeration_by_answers(people: AdminClient) -> None:
    def shown(answer: Answer) -> tuple[object, ...]:
        problem = {name: value for name, value in answer.json().items() if name != "instance"}
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in ("Date", "X-Request-ID", "Retry-After", "RateLimit")
        }
        return answer.status, problem, headers

    for attempt in (try_login, _try_change):
        for _ in range(GUESSES + 1):
            known, unknown = await attempt(people, "anna", WRONG), await attempt(people, "nobody", WRONG)
            assert shown(known) == shown(unknown)
    shown_person = await person(people, "rita")
    await people.request("PUT", f"{PEOPLE}/{shown_person['id']}", json={"role": "readonly", "enabled": False})
    disabled, unknown = await try_login(people, "rita", WRONG), await try_login(people, "nemo", WRONG)
    assert shown(disabled) == shown(unknown)


async def _try_change(people: AdminClient, username: str, old: str) -> Answer:
    return await try_change(people, username, old=old, new="x")


async def test_enumeration_by_time(people_before: Path, tmp_path: Path) -> None:
    options = {"logins": {"max_failures": 100}}
    times: dict[str, list[float]] = {"anna": [], "nobody": []}
    async with admin_with_people(people_before, tmp_path, admin_options=options) as admin:
        for username in times:
            await try_login(admin, username, WRONG)
        for _ in range(7):
            for username, measured in times.items():
                started = time.perf_counter()
                await try_login(admin, username, WRONG)
                measured.append(time.perf_counter() - started)

    # Without the same work for names that nobody has, this is a fiftieth.
    assert 0.5 < median(times["nobody"]) / median(times["anna"]) < 2, times


async def test_token_of_a_disabled_person(people: AdminClient) -> None:
    session = await log_in(people, "anna")
    shown = await person(people, "anna")

    await people.request("PUT", f"{PEOPLE}/{shown['id']}", json={"role": "admin", "enabled": False})

    assert not await works(people, session["access_token"])
    assert (await try_refresh(people, session["refresh_token"])).status == 401


async def test_token_of_a_disabled_person_at_every_role(people_before: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(shutil.copytree, people_before, tmp_path, dirs_exist_ok=True)
    async with ClientSession() as session:
        roles = Roles(tmp_path, session)
        admin = await roles.start("admin")
        urls = [
            f"{admin.url}{ME}",
            f"{(await roles.start('ingester')).url}/api/v1/finalizations/{uuid4()}",
            f"{(await roles.start('query')).url}/api/v1/search?q=x",
            f"{(await roles.start_element()).url}/api/v1/info",
        ]
        login = {"username": "anna", "password": PASSWORD}
        async with session.post(admin.url + LOGIN, json=login) as answer:
            token = str((await answer.json())["access_token"])
        people = (await roles.request("GET", f"{admin.url}{PEOPLE}?search=anna")).json()["items"]

        async def refused() -> list[bool]:
            return [(await roles.request("GET", url, token=token)).status == 401 for url in urls]

        assert await refused() == [False] * 4
        disabled = {"role": "admin", "enabled": False}
        await roles.request("PUT", f"{admin.url}{PEOPLE}/{people[0]['id']}", json=disabled)
        await eventually(lambda: _all(refused()))
        await roles.stop()


async def _all(answers: Awaitable[list[bool]]) -> bool:
    return all(await answers)


async def test_the_account_of_the_operator_in_the_hands_of_somebody_who_may_do_less(
    people: AdminClient,
) -> None:
    admin, super_admin = [(await log_in(people, name))["access_token"] for name in ("anna", "admin")]
    [account] = (await people.get(ACCOUNTS, search="administrator"))["items"]

    for action in ("rotate-secret", "revoke-tokens"):
        path = f"{ACCOUNTS}/{account['id']}/{action}"
        refused = await people.request("POST", path, token=admin, json={})
        assert (refused.status, refused.problem) == (403, "forbidden"), action
        assert (await people.request("POST", path, token=super_admin, json={})).status == 200, action


async def test_role_escalation_through_put(people: AdminClient) -> None:
    for username in ("anna", "rita"):
        token = (await log_in(people, username))["access_token"]
        shown = await person(people, username)
        path = f"{PEOPLE}/{shown['id']}"
        super_admin = {"role": "super_admin", "enabled": True}
        attempts = [
            await people.request("PUT", path, token=token, json=super_admin),
            await people.request(
                "POST", PEOPLE, token=token, json={"username": "mallory", "role": "super_admin"}
            ),
            await people.request("POST", f"{path}/reset-password", token=token, json={}),
        ]

        assert [attempt.status for attempt in attempts] == [403] * 3
        assert (await person(people, username))["role"] == shown["role"]


async def test_a_reset_of_somebody_who_is_raised_in_the_same_moment(people: AdminClient) -> None:
    small = sorted(person_scopes("readonly") | {"people:write"})
    account = await people.create_account("help-desk", role=None, scopes=small)
    token = await people.token(ClientCredentials(account["client_id"], account["client_secret"]))
    for attempt in range(20):
        body = {"username": f"rita-{attempt}", "role": "readonly"}
        made = (await people.request("POST", PEOPLE, json=body)).json()
        path = f"{PEOPLE}/{made['id']}"
        resetting = asyncio.create_task(
            people.request("POST", f"{path}/reset-password", token=token, json={})
        )
        await asyncio.sleep(0.01)  # making the hash of a password takes ten times as long
        raised = await people.request("PUT", path, json={"role": "super_admin", "enabled": True})
        assert raised.status == 200
        if (reset := await resetting).status == 200:
            continue  # it came before: nobody was raised yet

        assert reset.status in (403, 412)
        login = await try_login(people, made["username"], made["password"])
        assert login.problem == "password-expired"
        return
    pytest.fail("every reset came before")


async def test_role_escalation_by_an_application_that_may_manage_people(people: AdminClient) -> None:
    admin_token = (await log_in(people, "admin"))["access_token"]
    made = await people.request(
        "POST",
        "/api/v1/service-accounts",
        token=admin_token,
        json={"name": "directory-sync", "scopes": ["people:read", "people:write"]},
    )
    account = made.json()
    token = await people.token(ClientCredentials(account["client_id"], account["client_secret"]))
    ids = {name: (await person(people, name))["id"] for name in ("admin", "rita")}

    attempts = [
        await people.request(
            "POST", PEOPLE, token=token, json={"username": "mallory", "role": "super_admin"}
        ),
        await people.request("POST", PEOPLE, token=token, json={"username": "mallory", "role": "readonly"}),
        await people.request(
            "PUT", f"{PEOPLE}/{ids['rita']}", token=token, json={"role": "super_admin", "enabled": True}
        ),
        await people.request("POST", f"{PEOPLE}/{ids['admin']}/reset-password", token=token, json={}),
        await people.request("POST", f"{PEOPLE}/{ids['admin']}/unlock", token=token),
        await people.request("DELETE", f"{PEOPLE}/{ids['admin']}", token=token),
    ]

    # It would give, or take over, rights that it does not have itself.
    assert [attempt.problem for attempt in attempts] == ["forbidden"] * 6
    assert (await try_login(people, "admin")).status == 200


async def test_rights_slipped_into_a_change(people: AdminClient) -> None:
    shown = await person(people, "rita")
    slipped = ({"scopes": ["people:write"]}, {"password_hash": "x"}, {"is_system": True}, {"revision": 0})

    for fields in slipped:
        body = {"role": "readonly", "enabled": True, **fields}
        answer = await people.request("PUT", f"{PEOPLE}/{shown['id']}", json=body)
        assert (answer.status, answer.problem) == (400, "invalid-request")


async def test_role_of_an_application_given_to_a_person_behind_the_back_of_the_api(
    people: AdminClient,
) -> None:
    for role in ("ADMIN", "SUPER_ADMIN", "root", ""):
        await sql(people, "UPDATE people SET role = :role WHERE username = 'rita'", {"role": role})
        assert (await log_in(people, "rita"))["scope"] == ""


async def test_endless_passwords(people: AdminClient) -> None:
    answer = await people.send("POST", LOGIN, json={"username": "anna", "password": "x" * 900_000})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert len(answer.body) < 1000

"""People log in, stay logged in, log out and change their passwords, over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from argon2 import PasswordHasher

from artstore.core.scopes import PERSON_SCOPES
from artstore.core.stores.rows import to_microseconds
from tests.services.admin.harness import AdminClient, claims_of, eventually, sql
from tests.services.admin.people import (
    CHANGE_PASSWORD,
    LOGIN,
    LOGOUT,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    REFRESH,
    ROLES,
    WRONG,
    admin_with_people,
    change_password,
    log_in,
    login_from,
    person,
    try_change,
    try_login,
    try_refresh,
    works,
)
from tests.services.storage_element.harness import Answer

DAY: Final = timedelta(days=1)


async def make_older(admin: AdminClient, username: str, age: timedelta) -> None:
    """Let so much time have passed since somebody chose their password."""
    changed_at = to_microseconds(datetime.now(UTC) - age)
    await sql(
        admin,
        "UPDATE people SET password_changed_at = :at WHERE username = :username",
        {"at": changed_at, "username": username},
    )


async def test_a_login_gives_a_token_with_the_scopes_of_the_role(people: AdminClient) -> None:
    for username, role in ROLES.items():
        tokens = await log_in(people, username)

        shown = (await people.request("GET", ME, token=tokens["access_token"])).json()
        assert set(tokens["scope"].split()) == set(shown["scopes"]) == PERSON_SCOPES[role]
        assert (shown["username"], shown["role"]) == (username, role)


async def test_tokens_of_people_are_signed_like_all_others_and_say_whose_they_are(
    people: AdminClient,
) -> None:
    tokens = await log_in(people, "anna")

    key_set = jwt.PyJWKSet.from_dict((await people.send("GET", "/.well-known/jwks.json")).json())
    for name, header_type, use, audience in (
        ("access_token", "at+jwt", "access", "artstore"),
        ("refresh_token", "rt+jwt", "refresh", people.url),
    ):
        header = claims_of(tokens[name], part=0)
        claims = jwt.decode(
            tokens[name], key_set[header["kid"]], ["RS256"], audience=audience, issuer=people.url
        )
        assert header["typ"] == header_type
        assert claims["sub"] == (await person(people, "anna"))["id"]
        assert {key: claims[key] for key in ("client_id", "name", "role", "type", "token_use")} == {
            "client_id": "user_anna",
            "name": "anna",
            "role": "admin",
            "type": "admin_user",
            "token_use": use,
        }
    assert "scope" not in claims_of(tokens["refresh_token"])
    assert tokens["refresh_expires_in"] == 7 * 86400


async def test_answers_with_tokens_are_kept_by_nobody(people: AdminClient) -> None:
    answer = await try_login(people, "RITA")  # the case of a name does not matter

    refreshed = await try_refresh(people, answer.json()["refresh_token"])

    for each in (answer, refreshed):
        assert each.headers["Cache-Control"] == "no-store"


NO_LOGINS: Final[list[Any]] = [
    {},
    {"username": "anna"},
    {"username": "anna", "password": 5},
    {"username": "anna", "password": ""},
    {"username": "anna", "password": PASSWORD + "x" * 128},
    {"username": "x" * 101, "password": PASSWORD},
    {"username": "anna", "password": PASSWORD, "role": "super_admin"},
    [PASSWORD],
]


async def test_a_login_that_is_none_is_told_what_to_change_without_being_repeated(
    people: AdminClient,
) -> None:
    for body in NO_LOGINS:
        answer = await people.send("POST", LOGIN, json=body)

        assert (answer.status, answer.problem) == (400, "invalid-request"), body
        assert PASSWORD not in answer.body.decode()
    for path in (LOGIN, REFRESH, CHANGE_PASSWORD):
        assert (await people.send("POST", path, data=b"username=anna")).status == 415


async def test_a_refresh_gives_the_next_tokens_and_uses_the_old_one_up(people: AdminClient) -> None:
    first = await log_in(people, "anna")

    second = (await try_refresh(people, first["refresh_token"])).json()
    third = await try_refresh(people, second["refresh_token"])

    assert third.status == 200
    assert await works(people, third.json()["access_token"])


async def test_of_many_that_use_one_refresh_token_at_once_one_gets_tokens(people: AdminClient) -> None:
    token = (await log_in(people, "anna"))["refresh_token"]

    answers = await asyncio.gather(*(try_refresh(people, token) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200, *[401] * 7]
    (given,) = (answer.json() for answer in answers if answer.status == 200)
    assert not await works(people, given["access_token"])


async def test_a_refresh_token_lasts_as_long_as_it_says(people_before: Path, tmp_path: Path) -> None:
    async with admin_with_people(people_before, tmp_path) as admin:
        token = (await log_in(admin, "anna"))["refresh_token"]
        now = to_microseconds(datetime.now(UTC))
        await sql(admin, "UPDATE refresh_tokens SET expires_at = :now", {"now": now})

        answer = await try_refresh(admin, token)

    assert (answer.status, answer.problem) == (401, "unauthenticated")


async def test_a_session_outlives_a_restart(people_before: Path, tmp_path: Path) -> None:
    async with admin_with_people(people_before, tmp_path) as admin:
        token = (await log_in(admin, "anna"))["refresh_token"]
    async with admin_with_people(tmp_path, tmp_path / "again") as admin:
        assert (await try_refresh(admin, token)).status == 200


async def test_logging_out_ends_this_session_and_no_other(people: AdminClient) -> None:
    here, there = await log_in(people, "anna"), await log_in(people, "anna")
    refreshed = (await try_refresh(people, here["refresh_token"])).json()

    answer = await people.request("POST", LOGOUT, token=refreshed["access_token"])

    assert answer.status == 204
    # Every access token of the session, also the one before the refresh.
    assert not await works(people, refreshed["access_token"])
    assert not await works(people, here["access_token"])
    assert (await try_refresh(people, refreshed["refresh_token"])).status == 401
    assert await works(people, there["access_token"])


async def test_what_is_for_people_is_not_for_applications(people: AdminClient) -> None:
    for method, path in (("GET", ME), ("POST", LOGOUT)):
        answer = await people.request(method, path)

        assert (answer.status, answer.problem) == (403, "forbidden")


async def test_another_password_ends_every_session(people: AdminClient) -> None:
    before = await log_in(people, "anna")

    await change_password(people, "anna", old=PASSWORD, new=NEW_PASSWORD)

    assert not await works(people, before["access_token"])
    assert (await try_refresh(people, before["refresh_token"])).status == 401
    assert (await try_login(people, "anna")).status == 401
    assert (await try_login(people, "anna", NEW_PASSWORD)).status == 200


async def test_a_password_that_breaks_a_rule_is_refused_with_the_rule(people: AdminClient) -> None:
    for new, told in {"Password1234!": "very guessable", PASSWORD: "was used before"}.items():
        answer = await try_change(people, "anna", old=PASSWORD, new=new)

        assert (answer.status, answer.problem) == (400, "invalid-request")
        assert [each["path"] for each in answer.json()["errors"]] == ["new_password"]
        assert told in answer.json()["detail"]
        assert new not in answer.body.decode()
    assert (await try_login(people, "anna")).status == 200


async def test_former_passwords_cannot_be_chosen_again(people_before: Path, tmp_path: Path) -> None:
    settings = {"passwords": {"history": 1}}
    async with admin_with_people(people_before, tmp_path, admin_options=settings) as admin:
        await change_password(admin, "anna", old=PASSWORD, new=NEW_PASSWORD)

        again = await try_change(admin, "anna", old=NEW_PASSWORD, new=PASSWORD)
        await change_password(admin, "anna", old=NEW_PASSWORD, new="Old-Parsnip3-nebula")
        later = await try_change(admin, "anna", old="Old-Parsnip3-nebula", new=PASSWORD)

    assert "was used before" in again.json()["detail"]
    assert later.status == 204  # two passwords ago: one is remembered here


async def test_an_expired_password_opens_nothing_but_its_change(people: AdminClient) -> None:
    session = await log_in(people, "anna")
    await make_older(people, "anna", 91 * DAY)

    refused = await try_login(people, "anna")
    wrong = await try_login(people, "anna", WRONG)
    refreshed = await try_refresh(people, session["refresh_token"])
    await change_password(people, "anna", old=PASSWORD, new=NEW_PASSWORD)

    assert (refused.status, refused.problem) == (403, "password-expired")
    assert "change-password" in refused.json()["detail"]
    assert (wrong.status, wrong.problem) == (401, "login-refused")
    assert (refreshed.status, refreshed.problem) == (403, "password-expired")
    assert (await try_login(people, "anna", NEW_PASSWORD)).status == 200


async def test_a_password_that_expires_soon_is_told(people: AdminClient) -> None:
    fresh = await log_in(people, "anna")
    await make_older(people, "anna", 80 * DAY)

    old = await log_in(people, "anna")

    assert not fresh["password_expires_soon"]
    assert old["password_expires_soon"]
    assert datetime.fromisoformat(old["password_expires_at"]) < datetime.now(UTC) + 11 * DAY


async def test_too_many_wrong_passwords_lock_out_even_the_right_one_for_a_while(people: AdminClient) -> None:
    statuses = [(await try_login(people, "anna", WRONG)).status for _ in range(5)]

    locked = await try_login(people, "anna")
    shown = await person(people, "anna")
    await sql(people, "UPDATE login_failures SET last_at = last_at - 900 * 1000000")
    later = await try_login(people, "anna")

    assert statuses == [401] * 5
    assert (locked.status, locked.problem) == (423, "locked-out")
    assert 0 < int(locked.headers["Retry-After"]) <= 900
    assert datetime.fromisoformat(shown["locked_until"]) > datetime.now(UTC)
    assert later.status == 200


async def test_a_login_forgets_the_wrong_passwords_before_it(people: AdminClient) -> None:
    for _ in range(2):
        statuses = [(await try_login(people, "anna", WRONG)).status for _ in range(4)]
        assert statuses == [401] * 4
        assert (await try_login(people, "anna")).status == 200


async def test_guesses_at_the_password_to_be_changed_are_counted_too(people: AdminClient) -> None:
    for _ in range(5):
        await try_change(people, "anna", old=WRONG, new=NEW_PASSWORD)

    assert (await try_login(people, "anna")).status == 423


async def test_a_hash_of_other_parameters_is_made_anew_at_the_next_login(people: AdminClient) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await sql(people, "UPDATE people SET password_hash = :weak WHERE username = 'anna'", {"weak": weak})

    await log_in(people, "anna")

    ((kept,),) = await sql(people, "SELECT password_hash FROM people WHERE username = 'anna'")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert (await try_login(people, "anna")).status == 200


async def test_neither_passwords_nor_tokens_are_in_the_database_nor_the_log(
    people: AdminClient, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = await log_in(people, "anna")
    await try_login(people, "anna", WRONG)
    await try_login(people, "nobody-" + WRONG, "x")

    tables = ("people", "former_passwords", "refresh_tokens", "login_failures", "login_sources")
    kept = str([await sql(people, f"SELECT * FROM {table}") for table in tables])
    printed = "".join(capsys.readouterr())

    for secret in (PASSWORD, WRONG, tokens["refresh_token"], tokens["access_token"], "nobody-"):
        assert secret not in kept
        assert secret not in printed


async def test_logins_are_in_the_audit_log_with_whose_they_were(people: AdminClient) -> None:
    answers = [
        await try_login(people, "nobody", WRONG),
        await try_login(people, "anna", WRONG),
        await try_login(people, "anna"),
    ]
    anna = await person(people, "anna")

    async def recorded(answer: Answer) -> Any:
        found = await people.get("/api/v1/audit-log", request_id=answer.headers["X-Request-ID"])
        return found["items"]

    unknown, wrong, right = [(await eventually(partial(recorded, answer)))[0]["record"] for answer in answers]
    assert (unknown["outcome"], unknown["reason"], unknown.get("actor")) == ("denied", "unknown_name", None)
    assert (wrong["outcome"], wrong["reason"]) == ("denied", "wrong_password")
    assert right["outcome"] == "succeeded"
    assert right["actor"] == wrong["actor"]
    assert right["actor"] == {"subject": anna["id"], "client_id": "user_anna", "kind": "admin_user"}
    assert {each["kind"] for each in (unknown, wrong, right)} == {"authentication"}


async def test_logins_are_counted_by_how_they_end(people: AdminClient) -> None:
    await try_login(people, "anna")
    for _ in range(5):
        await try_login(people, "rita", WRONG)
    await try_login(people, "rita")
    await make_older(people, "anna", 91 * DAY)
    await try_login(people, "anna")

    for outcome, expected in {"succeeded": 1, "refused": 5, "locked_out": 1, "password_expired": 1}.items():
        assert await people.metric("artstore_logins_total", outcome=outcome) == expected
    assert await people.metric("artstore_login_duration_seconds_count") == 8


async def test_whoever_has_logged_in_from_a_place_is_not_locked_out_there_by_strangers(
    people: AdminClient,
) -> None:
    assert (await login_from(people, "127.0.0.2", "anna", PASSWORD)).status == 200
    for number in range(5):
        await login_from(people, f"127.0.1.{number}", "anna", WRONG)

    stranger = await login_from(people, "127.0.1.77", "anna", PASSWORD)
    at_home = await login_from(people, "127.0.0.2", "anna", PASSWORD)

    assert stranger.status == 423
    assert at_home.status == 200


async def test_a_place_that_is_known_has_no_more_guesses_than_others(people: AdminClient) -> None:
    assert (await login_from(people, "127.0.0.2", "anna", PASSWORD)).status == 200
    for _ in range(5):
        await login_from(people, "127.0.0.2", "anna", WRONG)

    assert (await login_from(people, "127.0.0.2", "anna", PASSWORD)).status == 423
    assert (await login_from(people, "127.0.0.3", "anna", PASSWORD)).status == 200

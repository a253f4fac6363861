"""People are managed over HTTP by those who may, and somebody who may is always left."""

import asyncio
import uuid
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.spec import ConfigurationError
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import AdminClient, sql
from tests.services.admin.people import (
    NEW_PASSWORD,
    PASSWORD,
    PEOPLE,
    WRONG,
    change_password,
    log_in,
    person,
    try_login,
    works,
)
from tests.services.storage_element.harness import Answer

UNKNOWN: Final = str(uuid.uuid4())


async def create(admin: AdminClient, username: str = "boris", **fields: object) -> Answer:
    return await admin.request("POST", PEOPLE, json={"username": username, **fields})


async def put(admin: AdminClient, username: str, token: str | None = None, **change: object) -> Answer:
    """Change somebody, who stays what they are otherwise."""
    shown = await person(admin, username)
    body = {"email": shown.get("email"), "role": shown["role"], "enabled": shown["enabled"], **change}
    return await admin.request("PUT", f"{PEOPLE}/{shown['id']}", token=token, json=body)


async def test_a_person_is_made_with_a_password_that_is_shown_once(people: AdminClient) -> None:
    answer = await create(people, "Boris", email="Boris@Archive.example", role="admin")

    made = answer.json()
    password = made.pop("password")
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert (made["username"], made["email"], made["role"]) == ("boris", "boris@archive.example", "admin")
    assert made["must_change_password"]
    assert (await people.get(f"{PEOPLE}/{made['id']}")) == made
    first = await try_login(people, "boris", password)
    assert (first.status, first.problem) == (403, "password-expired")
    await change_password(people, "boris", old=password, new=NEW_PASSWORD)
    assert (await try_login(people, "boris", NEW_PASSWORD)).status == 200


async def test_a_password_may_be_given_if_it_obeys_the_rules(people: AdminClient) -> None:
    weak = await create(people, password="Password1234!")
    given = await create(people, password=NEW_PASSWORD)

    assert (weak.status, weak.json()["errors"][0]["path"]) == (400, "password")
    assert given.status == 201
    assert "password" not in given.json()
    assert given.json()["role"] == "readonly"


WRONG_PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "username": {"username": "no"},
    "username ": {"username": "b@ris"},
    "username  ": {"username": "x" * 101},
    "email": {"email": "boris"},
    "email ": {"email": "b@" + "x" * 255},
    "email  ": {"email": "boris@\x1b[2Jarchive.example"},
    "role": {"role": "SUPER_ADMIN"},
    "role ": {"role": "OPERATOR"},
    "enabled": {"enabled": True},
    "password": {"password": 5},
}


async def test_a_person_that_cannot_be_is_told_what_to_change(people: AdminClient) -> None:
    for path, fields in WRONG_PEOPLE.items():
        answer = await create(people, **{"username": "boris", **fields})

        assert (answer.status, answer.problem) == (400, "invalid-request"), fields
        assert [each["path"] for each in answer.json()["errors"]] == [path.strip()]
    assert (await people.get(PEOPLE))["total"] == 3


async def test_names_and_addresses_are_taken_once(people: AdminClient) -> None:
    same_name = await create(people, "ANNA")
    same_address = await create(people, email="anna@archive.example")
    moved = await put(people, "rita", email="anna@archive.example")

    assert [each.problem for each in (same_name, same_address, moved)] == ["already-exists"] * 3


async def test_people_are_found_by_role_state_and_a_part_of_their_name(people: AdminClient) -> None:
    await put(people, "rita", enabled=False)

    async def names(**query: object) -> list[str]:
        return [each["username"] for each in (await people.get(PEOPLE, **query))["items"]]

    assert await names() == ["admin", "anna", "rita"]
    assert await names(role="admin") == ["anna"]
    assert await names(enabled="false") == ["rita"]
    assert await names(search="NN") == ["anna"]
    assert await names(search="rita@archive") == ["rita"]
    assert await names(search="%25") == []
    assert (await people.request("GET", f"{PEOPLE}?search=%00")).problem == "invalid-request"
    assert await names(limit=1, offset=1) == ["anna"]
    assert (await people.get(PEOPLE, limit=1))["has_more"]


async def test_whoever_is_disabled_is_out_at_once_and_can_be_let_in_again(people: AdminClient) -> None:
    session = await log_in(people, "anna")

    await put(people, "anna", enabled=False)

    refused = await try_login(people, "anna")
    assert not await works(people, session["access_token"])
    assert (refused.status, refused.problem) == (403, "forbidden")
    assert (await try_login(people, "anna", WRONG)).problem == "login-refused"
    await put(people, "anna", enabled=True)
    assert (await try_login(people, "anna")).status == 200


async def test_another_role_holds_from_the_next_login_and_the_old_one_no_longer(people: AdminClient) -> None:
    before = await log_in(people, "anna")

    await put(people, "anna", role="readonly")

    assert not await works(people, before["access_token"])
    assert "files:write" not in (await log_in(people, "anna"))["scope"]


async def test_another_address_ends_no_session(people: AdminClient) -> None:
    session = await log_in(people, "anna")

    assert (await put(people, "anna", email="new@archive.example")).status == 200

    assert await works(people, session["access_token"])


async def test_whoever_is_deleted_is_out_at_once_and_leaves_nothing(people: AdminClient) -> None:
    session = await log_in(people, "anna")
    shown = await person(people, "anna")
    await change_password(people, "rita", old=PASSWORD, new=NEW_PASSWORD)

    answer = await people.request("DELETE", f"{PEOPLE}/{shown['id']}")

    assert answer.status == 204
    assert not await works(people, session["access_token"])
    assert (await try_login(people, "anna")).problem == "login-refused"
    for table, column in (
        ("people", "id"),
        ("former_passwords", "person_id"),
        ("refresh_tokens", "person_id"),
    ):
        assert await sql(people, f"SELECT 1 FROM {table} WHERE {column} = :id", {"id": shown["id"]}) == []
    assert await sql(people, "SELECT 1 FROM former_passwords") != []
    assert (await create(people, "anna")).status == 201


async def test_a_reset_password_is_to_be_changed_ends_sessions_and_unlocks(people: AdminClient) -> None:
    session = await log_in(people, "anna")
    for _ in range(5):
        await try_login(people, "anna", WRONG)
    shown = await person(people, "anna")

    answer = await people.request("POST", f"{PEOPLE}/{shown['id']}/reset-password", json={})

    password = answer.json()["password"]
    assert "locked_until" in shown
    assert "locked_until" not in await person(people, "anna")
    assert not await works(people, session["access_token"])
    assert (await try_login(people, "anna")).problem == "login-refused"
    assert (await try_login(people, "anna", password)).problem == "password-expired"


async def test_whoever_is_locked_out_can_be_let_in(people: AdminClient) -> None:
    for _ in range(5):
        await try_login(people, "anna", WRONG)
    shown = await person(people, "anna")

    answer = await people.request("POST", f"{PEOPLE}/{shown['id']}/unlock")

    assert "locked_until" not in answer.json()
    assert (await try_login(people, "anna")).status == 200


async def test_a_change_of_what_somebody_else_has_changed_is_refused_where_that_is_asked_for(
    people: AdminClient,
) -> None:
    shown = await person(people, "anna")
    path = f"{PEOPLE}/{shown['id']}"
    token = await people.administrator_token()

    async def put_if(etag: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "If-Match": etag}
        return await people.send("PUT", path, headers=headers, json={"role": "readonly", "enabled": True})

    etag = (await people.request("GET", path)).headers["ETag"]
    first, second = await put_if(etag), await put_if(etag)
    third = await put_if(first.headers["ETag"])

    assert [each.status for each in (first, second, third)] == [200, 412, 200]


async def test_somebody_who_may_manage_people_is_always_left(people: AdminClient) -> None:
    last = await person(people, "admin")
    attempts = [
        await put(people, "admin", enabled=False),
        await put(people, "admin", role="admin"),
        await people.request("DELETE", f"{PEOPLE}/{last['id']}"),
    ]
    await put(people, "anna", role="super_admin", enabled=False)
    while_the_other_is_disabled = await put(people, "admin", role="admin")
    await put(people, "anna", enabled=True)
    at_last = await put(people, "admin", role="admin")

    assert [each.problem for each in attempts] == ["forbidden"] * 3
    assert "the last super_admin" in attempts[0].json()["detail"]
    assert while_the_other_is_disabled.status == 403
    assert at_last.status == 200


async def test_two_that_demote_each_other_at_once_leave_one(people: AdminClient) -> None:
    await put(people, "anna", role="super_admin")

    answers = await asyncio.gather(put(people, "anna", role="admin"), put(people, "admin", role="admin"))

    assert sorted(answer.status for answer in answers) == [200, 403]


async def test_nobody_is_there_who_is_not_there(people: AdminClient) -> None:
    change = {"role": "admin", "enabled": True}
    answers = [
        await people.request("GET", f"{PEOPLE}/{UNKNOWN}"),
        await people.request("PUT", f"{PEOPLE}/{UNKNOWN}", json=change),
        await people.request("DELETE", f"{PEOPLE}/{UNKNOWN}"),
        await people.request("POST", f"{PEOPLE}/{UNKNOWN}/reset-password", json={}),
        await people.request("POST", f"{PEOPLE}/{UNKNOWN}/unlock"),
    ]

    assert [answer.problem for answer in answers] == ["not-found"] * 5


async def test_the_first_person_has_the_password_of_the_secret(
    start_first: StartAdmin, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (secret := tmp_path / "secrets/admin-password").write_text(f"{NEW_PASSWORD}\n")
    secret.chmod(0o600)

    async with start_first() as admin:
        given = await try_login(admin, "admin", NEW_PASSWORD)

    assert given.problem == "password-expired"


async def test_a_first_password_that_breaks_a_rule_is_a_reason_not_to_start(
    start_first: StartAdmin, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (secret := tmp_path / "secrets/admin-password").write_text("Password1234!")
    secret.chmod(0o600)

    with pytest.raises(ConfigurationError, match=r"secret admin-password: is very guessable.*admin-password"):
        async with start_first():
            pass


async def test_where_somebody_is_nobody_is_made(people: AdminClient) -> None:
    assert (await people.get(PEOPLE))["total"] == 3

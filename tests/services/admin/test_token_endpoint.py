"""The token endpoint, from outside: who gets a token, what is in it, and every way not to get one."""

import asyncio
import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import jwt
import pytest
from aiohttp import encode_basic_auth

from artstore.core.client.tokens import ClientCredentials
from artstore.core.stores.accounts import AccountsStore
from artstore.services.admin import client_authentication
from artstore.services.admin.client_secrets import ClientSecrets
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, TOKEN, AdminClient, claims_of, sql
from tests.services.storage_element.harness import Answer

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT: Final = "grant_type=client_credentials"


async def new_client(
    admin: AdminClient, *, name: str = "billing", role: str = "OPERATOR"
) -> ClientCredentials:
    account = await admin.create_account(name, role=role)
    return ClientCredentials(account["client_id"], account["client_secret"])


def body_of(credentials: ClientCredentials) -> str:
    return f"{GRANT}&client_id={credentials.client_id}&client_secret={credentials.client_secret}"


async def test_a_token_has_the_claims_of_rfc_9068_and_verifies_with_the_published_keys(
    admin: AdminClient,
) -> None:
    client = await new_client(admin, name="billing", role="USER")

    token = await admin.token(client)

    key_set = jwt.PyJWKSet.from_dict((await admin.send("GET", "/.well-known/jwks.json")).json())
    header = claims_of(token, part=0)
    assert header == {"alg": "RS256", "typ": "at+jwt", "kid": header["kid"]}
    claims = jwt.decode(token, key_set[header["kid"]], ["RS256"], audience="artstore", issuer=admin.url)
    times = {name: claims.pop(name) for name in ("iat", "nbf", "exp")}
    assert times == {"iat": times["iat"], "nbf": times["iat"], "exp": times["iat"] + 1800}
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": admin.url,
        "aud": "artstore",
        "sub": client.client_id,
        "client_id": client.client_id,
        "scope": "files:read files:write",
        "role": "USER",
        "name": "billing",
        "type": "service_account",
        "token_use": "access",
    }


async def test_the_answer_is_that_of_rfc_6749_and_is_not_to_be_kept(admin: AdminClient) -> None:
    answer = await admin.ask_token(await new_client(admin))

    token = answer.json()
    assert set(token) == {"access_token", "token_type", "expires_in", "scope", "issued_at"}
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 1800)
    assert token["scope"] == claims_of(token["access_token"])["scope"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"


async def test_the_lifetime_of_tokens_is_configured(start: StartAdmin) -> None:
    async with start(token_lifetime=60) as admin:
        answer = await admin.ask_token(admin.credentials())

    claims = claims_of(answer.json()["access_token"])
    assert answer.json()["expires_in"] == claims["exp"] - claims["iat"] == 60


async def test_no_two_tokens_have_the_same_id(admin: AdminClient) -> None:
    client = await new_client(admin)

    tokens = await asyncio.gather(*(admin.token(client) for _ in range(10)))

    assert len({claims_of(token)["jti"] for token in tokens}) == 10


async def test_credentials_may_be_in_the_form(admin: AdminClient) -> None:
    client = await new_client(admin)

    answer = await admin.send("POST", TOKEN, headers=FORM, data=body_of(client))

    assert answer.status == 200


@pytest.mark.parametrize("extra", [{}, {"grant_type": "client_credentials"}, {"unknown": 1}])
async def test_credentials_may_be_in_json(admin: AdminClient, extra: dict[str, object]) -> None:
    client = await new_client(admin)

    answer = await admin.send(
        "POST",
        TOKEN,
        json={"client_id": client.client_id, "client_secret": client.client_secret, **extra},
    )

    assert answer.status == 200


async def test_credentials_by_basic_may_go_with_a_json_body(admin: AdminClient) -> None:
    client = await new_client(admin)
    headers = {"Authorization": encode_basic_auth(client.client_id, client.client_secret)}

    answer = await admin.send("POST", TOKEN, headers=headers, json={"scope": "files:read"})

    assert answer.json()["scope"] == "files:read"


async def test_basic_credentials_are_percent_decoded(admin: AdminClient) -> None:
    client = await new_client(admin)
    encoded = ["".join(f"%{ord(c):02x}" for c in part) for part in (client.client_id, client.client_secret)]

    answer = await admin.send(
        "POST", TOKEN, headers={**FORM, "Authorization": encode_basic_auth(*encoded)}, data=GRANT
    )

    assert answer.status == 200


async def test_a_client_may_repeat_its_id_beside_basic(admin: AdminClient) -> None:
    client = await new_client(admin)

    answer = await admin.ask_token(client, client_id=client.client_id)

    assert answer.status == 200


async def test_a_client_may_ask_for_less_than_it_has(admin: AdminClient) -> None:
    client = await new_client(admin)

    answer = await admin.ask_token(client, scope="storage:read  files:read storage:read")

    assert answer.json()["scope"] == "files:read storage:read"
    token = answer.json()["access_token"]
    assert (await admin.request("GET", "/api/v1/storage-elements", token=token)).status == 200
    assert (await admin.request("DELETE", "/api/v1/storage-elements/x", token=token)).status == 403


@pytest.mark.parametrize(
    "scope",
    [
        "accounts:write",
        "files:read accounts:read",
        "nonsense",
        "files:read\0",
        "files:read\tfiles:read",
        "\N{EM SPACE}",
        " ",
    ],
)
async def test_a_scope_that_is_unknown_or_too_wide_is_refused(admin: AdminClient, scope: str) -> None:
    answer = await admin.ask_token(await new_client(admin, role="READONLY"), scope=scope)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")
    assert "files:read" in answer.json()["error_description"]


async def test_an_account_without_scopes_gets_a_token_that_permits_nothing(admin: AdminClient) -> None:
    client = await new_client(admin)
    await sql(admin, "UPDATE service_accounts SET role = NULL WHERE name = 'billing'")

    answer = await admin.ask_token(client)

    assert answer.json()["scope"] == ""


def basic(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(raw).decode()


NOBODY: Final = "client_id=sa_dev_nobody_00000000&client_secret=ars_x"
MALFORMED: Final[Mapping[str, tuple[dict[str, str], Any, str]]] = {
    "no grant type": (FORM, NOBODY, "invalid_request"),
    "empty grant type": (FORM, f"grant_type=&{NOBODY}", "invalid_request"),
    "unknown grant type": (FORM, f"grant_type=password&{NOBODY}", "unsupported_grant_type"),
    "unknown grant type in JSON": (
        {"Content-Type": "application/json"},
        '{"grant_type": "refresh_token", "client_id": "a", "client_secret": "b"}',
        "unsupported_grant_type",
    ),
    "empty body": (FORM, "", "invalid_request"),
    "parameter given twice": (FORM, f"{GRANT}&{NOBODY}&client_id=other", "invalid_request"),
    "grant type given twice": (FORM, f"{GRANT}&{GRANT}&{NOBODY}", "invalid_request"),
    "secret in both places": (
        {**FORM, "Authorization": basic("a:b")},
        f"{GRANT}&client_secret=b",
        "invalid_request",
    ),
    "another id beside Basic": (
        {**FORM, "Authorization": basic("a:b")},
        f"{GRANT}&client_id=other",
        "invalid_request",
    ),
    "form that is not UTF-8": (FORM, b"grant_type=\xff", "invalid_request"),
    "form that decodes to no UTF-8": (FORM, f"{GRANT}&client_id=%ff", "invalid_request"),
    "form of too many parameters": (FORM, "&".join(f"p{n}=1" for n in range(100)), "invalid_request"),
    "JSON that is none": ({"Content-Type": "application/json"}, "{", "invalid_request"),
    "JSON array": ({"Content-Type": "application/json"}, "[]", "invalid_request"),
    "JSON of deep nesting": ({"Content-Type": "application/json"}, "[" * 15_000, "invalid_request"),
    "JSON with a parameter given twice": (
        {"Content-Type": "application/json"},
        '{"client_id": "a", "client_secret": "b", "client_id": "c"}',
        "invalid_request",
    ),
    "JSON with a number": (
        {"Content-Type": "application/json"},
        '{"client_id": 1, "client_secret": "b"}',
        "invalid_request",
    ),
    "another content type": ({"Content-Type": "text/plain"}, f"{GRANT}&{NOBODY}", "invalid_request"),
    "multipart": (
        {"Content-Type": "multipart/form-data; boundary=x"},
        '--x\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n--x--\r\n',
        "invalid_request",
    ),
}


async def test_a_malformed_request_is_told_what_is_wrong(admin: AdminClient) -> None:
    answers = {
        case: await admin.send("POST", TOKEN, headers=headers, data=body)
        for case, (headers, body, _) in MALFORMED.items()
    }

    errors = {case: (answer.status, answer.json()["error"]) for case, answer in answers.items()}
    assert errors == {case: (400, error) for case, (_, _, error) in MALFORMED.items()}
    assert {answer.headers["Cache-Control"] for answer in answers.values()} == {"no-store"}
    assert not [answer for answer in answers.values() if "WWW-Authenticate" in answer.headers]


async def test_two_authorization_headers_are_refused(admin: AdminClient) -> None:
    client = await new_client(admin)
    header = ("Authorization", encode_basic_auth(client.client_id, client.client_secret))

    answer = await admin.send("POST", TOKEN, headers=[*FORM.items(), header, header], data=GRANT)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


UNAUTHENTICATED: Final[Mapping[str, tuple[dict[str, str], str]]] = {
    "no credentials": ({}, GRANT),
    "id without secret": ({}, f"{GRANT}&client_id=a"),
    "secret without id": ({}, f"{GRANT}&client_secret=a"),
    "Basic without credentials": ({"Authorization": "Basic"}, GRANT),
    "Basic that is not Base64": ({"Authorization": "Basic a b c"}, GRANT),
    "Basic that is Base64url": ({"Authorization": "Basic _-_-"}, GRANT),
    "Basic without a colon": ({"Authorization": basic("justtext")}, GRANT),
    "Basic that is not UTF-8": ({"Authorization": basic(b"\xff\xfe:\xff")}, GRANT),
    "Basic that percent-decodes to no UTF-8": ({"Authorization": basic("%ff:%ff")}, GRANT),
    "Bearer": ({"Authorization": "Bearer abc"}, GRANT),
    "Digest": ({"Authorization": 'Digest username="a"'}, GRANT),
    "NUL bytes in Basic": ({"Authorization": basic("a\0:b\0")}, GRANT),
    "NUL bytes in the form": ({}, f"{GRANT}&client_id=%00&client_secret=%00"),
    "quotes in the id": ({}, f"{GRANT}&client_id={quote(chr(39) + ' OR 1=1 --')}&client_secret=x"),
    "long id": ({}, f"{GRANT}&client_id={'a' * 5000}&client_secret=x"),
    "letters of other scripts": ({}, f"{GRANT}&client_id={quote('клиент')}&client_secret={quote('тайна')}"),
}


async def test_a_request_without_usable_credentials_is_challenged(admin: AdminClient) -> None:
    answers = {
        case: await admin.send("POST", TOKEN, headers={**FORM, **headers}, data=body)
        for case, (headers, body) in UNAUTHENTICATED.items()
    }

    errors = {case: (answer.status, answer.json()["error"]) for case, answer in answers.items()}
    assert errors == dict.fromkeys(UNAUTHENTICATED, (401, "invalid_client"))
    for answer in answers.values():
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_lone_surrogate_in_json_is_answered(admin: AdminClient) -> None:
    answer = await admin.send(
        "POST",
        TOKEN,
        headers={"Content-Type": "application/json"},
        data=rb'{"client_id": "a", "client_secret": "\ud800"}',
    )

    assert answer.status == 400


def distinguishable(answer: Answer) -> object:
    """What a client could tell two refusals apart by."""
    varying = {"Date", "X-Request-ID", "RateLimit"}  # which counts every request alike
    return answer.status, {k: v for k, v in answer.headers.items() if k not in varying}, answer.body


async def test_every_reason_not_to_believe_a_client_gives_the_same_answer(admin: AdminClient) -> None:
    clients = {
        name: await new_client(admin, name=name) for name in ("fine", "suspended", "expired", "deleted")
    }
    await sql(admin, "UPDATE service_accounts SET status = 'suspended' WHERE name = 'suspended'")
    await sql(admin, "UPDATE service_accounts SET secret_expires_at = 1 WHERE name = 'expired'")
    deleted = next(a for a in (await admin.get(ACCOUNTS))["items"] if a["name"] == "deleted")
    await admin.request("DELETE", f"{ACCOUNTS}/{deleted['id']}")
    fine = clients.pop("fine")
    clients["wrong secret"] = ClientCredentials(fine.client_id, ClientSecrets.new())
    clients["secret of another"] = ClientCredentials(fine.client_id, clients["suspended"].client_secret)
    clients["unknown"] = ClientCredentials("sa_dev_nobody_00000000", fine.client_secret)
    clients["secret as id"] = ClientCredentials(fine.client_secret, fine.client_secret)
    clients["shorter secret"] = ClientCredentials(fine.client_id, fine.client_secret[:-1])

    answers = {name: distinguishable(await admin.ask_token(client)) for name, client in clients.items()}

    assert len(answers) == 8
    assert all(answer == answers["unknown"] for answer in answers.values()), answers
    assert (await admin.ask_token(fine)).status == 200


async def test_an_unknown_client_costs_the_same_work_as_a_known_one(
    admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await new_client(admin)
    work: list[str] = []
    digest, compare = ClientSecrets.digest, hmac.compare_digest
    find = AccountsStore.find_or_stand_in

    def counted_digest(self: ClientSecrets, secret: str) -> str:
        work.append("digest")
        return digest(self, secret)

    def counted_compare(one: str, other: str) -> bool:
        work.append("compare")
        return bool(compare(one, other))

    async def counted_find(self: AccountsStore, client_id: str, *, stand_in: str) -> object:
        work.append("find")
        return await find(self, client_id, stand_in=stand_in)

    monkeypatch.setattr(ClientSecrets, "digest", counted_digest)
    monkeypatch.setattr(client_authentication, "compare_digest", counted_compare)
    monkeypatch.setattr(AccountsStore, "find_or_stand_in", counted_find)

    done = {}
    for name, client_id in (("known", known.client_id), ("unknown", "sa_dev_x_0"), ("impossible", "\0")):
        work.clear()
        await admin.ask_token(ClientCredentials(client_id, "ars_wrong"))
        done[name] = list(work)

    assert done["known"] == ["find", "digest", "compare", "compare"]
    assert done["unknown"] == done["impossible"] == done["known"]


async def test_a_body_that_is_too_large_is_refused(admin: AdminClient) -> None:
    answer = await admin.send("POST", TOKEN, headers=FORM, data=f"{GRANT}&scope=" + "a" * 20_000)

    assert (answer.status, answer.problem) == (413, "content-too-large")


async def test_a_body_that_grows_without_end_is_refused(admin: AdminClient) -> None:
    async def endless() -> Any:
        while True:
            yield b"scope=" + b"a" * 4000 + b"&"

    answer = await admin.send("POST", TOKEN, headers=FORM, data=endless())

    assert answer.status == 413


async def test_a_client_that_stalls_is_not_waited_for(start: StartAdmin) -> None:
    async def stalling() -> Any:
        yield b"grant_type="
        await asyncio.sleep(60)

    async with start(server={"stall_timeout": 0.1}) as admin:
        answer = await admin.send("POST", TOKEN, headers=FORM, data=stalling())

    assert (answer.status, answer.problem) == (408, "request-timeout")


async def test_a_client_that_waits_for_permission_is_asked_for_its_body(admin: AdminClient) -> None:
    client = await new_client(admin)

    answer = await admin.send("POST", TOKEN, headers={**FORM, "Expect": "100-continue"}, data=body_of(client))

    assert answer.status == 200


async def test_the_use_of_an_account_is_noted(admin: AdminClient) -> None:
    client = await new_client(admin)
    await admin.token(client)

    accounts = (await admin.get(ACCOUNTS))["items"]

    used = next(account for account in accounts if account["client_id"] == client.client_id)
    assert used["last_used_at"] >= used["created_at"]


async def test_the_use_is_not_written_down_for_every_token(admin: AdminClient) -> None:
    client = await new_client(admin)
    await admin.token(client)
    first = await admin.get(ACCOUNTS)
    await admin.token(client)

    assert await admin.get(ACCOUNTS) == first


async def test_tokens_and_refusals_are_counted_and_timed(admin: AdminClient) -> None:
    client = await new_client(admin)
    counted = "artstore_token_requests_total"
    timed = "artstore_token_request_duration_seconds_count"
    issued = await admin.metric(counted, outcome="issued") or 0
    before = await admin.metric(timed) or 0

    await admin.token(client)
    await admin.ask_token(ClientCredentials(client.client_id, "ars_wrong"))
    await admin.ask_token(client, scope="nonsense")
    await admin.send("POST", TOKEN, headers=FORM, data="")
    await admin.send("POST", TOKEN, headers=FORM, data="a" * 20_000)

    assert await admin.metric(counted, outcome="issued") == issued + 1
    assert await admin.metric(counted, outcome="invalid_client") == 1
    assert await admin.metric(counted, outcome="invalid_scope") == 1
    assert await admin.metric(counted, outcome="invalid_request") == 1
    assert await admin.metric(counted, outcome="failed") == 1
    assert await admin.metric(timed) == before + 5


async def test_clients_can_configure_themselves_from_the_metadata(admin: AdminClient) -> None:
    answer = await admin.send("GET", "/.well-known/oauth-authorization-server")

    metadata = answer.json()
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert metadata["issuer"] == admin.url
    assert metadata["token_endpoint"] == admin.url + TOKEN
    assert metadata["jwks_uri"] == f"{admin.url}/.well-known/jwks.json"
    assert metadata["grant_types_supported"] == ["client_credentials"]
    assert metadata["response_types_supported"] == []
    assert "files:read" in metadata["scopes_supported"]
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert metadata["token_endpoint_auth_methods_supported"] == methods
    assert metadata["tls_client_certificate_bound_access_tokens"] is False


async def test_any_client_learns_where_the_roles_are(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("element"))

    answer = await admin.request("GET", "/api/v1/endpoints", token=token)

    assert answer.json()["admin"] == admin.url
    assert set(answer.json()) == {"admin", "element", "ingester", "query"}
    assert (await admin.send("GET", "/api/v1/endpoints")).status == 401

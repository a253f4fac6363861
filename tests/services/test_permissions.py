"""Every caller of the page of permissions calls every operation of every running role."""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import Settings
from artstore.core.http.openapi import openapi_path
from artstore.core.http.problems import CONTENT_TYPE as PROBLEM
from artstore.core.keys import ENDPOINTS
from artstore.core.scopes import ROLE_SCOPES
from tests.architecture.repository import ROOT
from tests.services.admin import people
from tests.services.admin.harness import ACCOUNTS, run_sql
from tests.services.roles import Roles

Matrix = Mapping[tuple[str, str], Mapping[str, bool]]
"""By role and operation: who is let through."""

PAGE: Final = ROOT / "docs" / "reference" / "permissions.md"
REFUSED: Final = {401, 403}
CHANGES_OF_THE_TOKEN: Final = re.compile(r"/logout$")
"""Come last: the token is not good any more."""


@pytest.fixture
async def cluster(tmp_path: Path, people_before: Path) -> AsyncGenerator[Roles, None]:
    """All four roles, and people who may log in."""
    await asyncio.to_thread(shutil.copytree, people_before, tmp_path, dirs_exist_ok=True)
    async with ClientSession() as session:
        roles = Roles(tmp_path, session)
        await roles.start("admin")
        yield roles
        await roles.stop()


def documented() -> Matrix:
    """The committed page."""
    matrix: dict[tuple[str, str], Mapping[str, bool]] = {}
    role, callers = "", list[str]()
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            role = line.removeprefix("## ")
        elif line.startswith("| operation"):
            callers = _cells(line)
        elif line.startswith("| `"):
            operation, *cells = _cells(line)
            matrix[role, operation.strip("`")] = dict(
                zip(callers[1:], [cell == "yes" for cell in cells], strict=True)
            )
    return matrix


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_decides_on_every_operation_that_is_served() -> None:
    served = {
        (role, f"{endpoint.operation.method} {openapi_path(endpoint.operation.path)}")
        for role in ROLES
        for endpoint in make_app(role, Settings())[ENDPOINTS].values()
    }

    assert set(documented()) == served


async def test_every_caller_is_let_through_to_what_the_page_says_and_to_nothing_else(cluster: Roles) -> None:
    urls = {
        "admin": cluster.settings().url("admin"),
        "ingester": (await cluster.start("ingester")).url,
        "query": (await cluster.start("query")).url,
        "element": (await cluster.start_element()).url,
    }
    matrix = documented()
    (callers,) = {tuple(each) for each in matrix.values()}
    tokens = await _tokens(cluster)
    assert set(tokens) == set(callers)

    differences = [
        (caller, role, operation, answer)
        for caller in callers
        for role, operation in sorted(matrix, key=lambda each: bool(CHANGES_OF_THE_TOKEN.search(each[1])))
        if (answer := await _call(cluster, urls[role], operation, tokens[caller]))
        is not matrix[role, operation][caller]
    ]

    assert differences == []


async def _call(cluster: Roles, url: str, operation: str, token: str | None) -> bool:
    """Whether the caller is let through; a request that is let through need not make sense."""
    method, path = operation.split(" ")
    path = re.sub(r"\{[^}]*\}", lambda _: str(uuid4()), path)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with cluster.session.request(method, url + path, headers=headers, allow_redirects=False) as answer:
        # The token endpoint, which everybody may ask, refuses in a form of its own.
        return answer.status not in REFUSED or answer.content_type != PROBLEM


async def _tokens(cluster: Roles) -> dict[str, str | None]:
    """A token of every caller, as each of them gets one."""
    tokens: dict[str, str | None] = {"no token": None}
    for username, role in people.ROLES.items():
        login = {"username": username, "password": people.PASSWORD}
        answer = await cluster.session.post(cluster.settings().url("admin") + people.LOGIN, json=login)
        tokens[role] = (await answer.json())["access_token"]
    for secret in (cluster.data / "secrets").glob("client-*"):
        tokens[secret.name] = await cluster.token(secret.name.removeprefix("client-"))
    for account_role in ROLE_SCOPES:
        account = await _account(cluster, account_role)
        tokens[account_role] = await cluster.issue_to(account["client_id"], account["client_secret"])
    account = await _account(cluster, "USER", name="of a role that nobody knows")
    await asyncio.to_thread(
        run_sql,
        cluster.data,
        "UPDATE service_accounts SET role = 'WIZARD' WHERE id = :id",
        {"id": account["id"]},
    )
    tokens["unknown role"] = await cluster.issue_to(account["client_id"], account["client_secret"])
    return tokens


async def _account(cluster: Roles, role: str, *, name: str | None = None) -> dict[str, Any]:
    url = cluster.settings().url("admin") + ACCOUNTS
    answer = await cluster.request("POST", url, json={"name": name or f"a {role}", "role": role})
    assert answer.status == 201, answer
    account: dict[str, Any] = answer.json()
    return account

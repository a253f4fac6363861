"""The page of permissions: who may call which operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import Settings
from artstore.core.http.openapi import openapi_path
from artstore.core.http.operations import Operation
from artstore.core.keys import ENDPOINTS
from artstore.core.scopes import PERSON_SCOPES, ROLE_SCOPES, scopes_of
from artstore.core.spec import PrincipalKind
from artstore.services.admin.system_accounts import SYSTEM_ACCOUNTS, secret_name
from docs.generator.markdown import table

INTRODUCTION: Final = """\
Every operation of every role, and who is let through to it: people by their role (`super_admin`, `admin`,
`readonly`), applications by theirs (`ADMIN` to `READONLY`), the accounts of ArtStore itself (`client-…`),
whoever has a token but a role that nobody knows, and whoever has none. Being let through is not all: a mode
or a retention may still say no. A test sends each of these requests to running roles and compares.
[Scopes](scopes.md) says which role has which scopes."""

ALLOWED: Final = "yes"
REFUSED: Final = "–"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who sends requests; ``kind`` is ``None`` for whoever has no token."""

    name: str
    kind: PrincipalKind | None
    scopes: frozenset[str] = frozenset()


CALLERS: Final = (
    *(Caller(role, "admin_user", scopes) for role, scopes in PERSON_SCOPES.items()),
    *(Caller(role, "service_account", scopes) for role, scopes in ROLE_SCOPES.items()),
    *(
        Caller(secret_name(account.name), "service_account", scopes_of(account.role, account.scopes))
        for account in SYSTEM_ACCOUNTS
    ),
    Caller("unknown role", "service_account"),
    Caller("no token", None),
)


def page() -> Iterator[str]:
    """A table for every role, with a column for every caller."""
    yield "# Permissions"
    yield INTRODUCTION
    for name in ROLES:
        yield f"## {name}"
        rows = [_row(endpoint.operation) for endpoint in make_app(name, Settings())[ENDPOINTS].values()]
        yield table(("operation", *(caller.name for caller in CALLERS)), rows)


def _row(operation: Operation) -> tuple[str, ...]:
    cells = (ALLOWED if _may_call(caller, operation) else REFUSED for caller in CALLERS)
    return f"`{operation.method} {openapi_path(operation.path)}`", *cells


def _may_call(caller: Caller, operation: Operation) -> bool:
    if operation.public:
        return True
    if caller.kind is None or operation.principal_kind not in (None, caller.kind):
        return False
    return operation.scope is None or operation.scope in caller.scopes

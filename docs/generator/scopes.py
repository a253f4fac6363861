"""The page of scopes: what each permits, and who has it."""

from collections.abc import Iterator

from artstore.core.scopes import PERSON_SCOPES, ROLE_SCOPES, SCOPES, SERVICE_SCOPES
from docs.generator.markdown import codes, table


def page() -> Iterator[str]:
    """Four tables: scopes, roles of people, roles of accounts, accounts of our own roles."""
    yield "# Scopes and roles"
    yield "A role or scope that is not on this page is never granted."
    yield table(("scope", "permits"), ((f"`{scope}`", meaning) for scope, meaning in SCOPES.items()))
    yield "[Permissions](permissions.md) says what follows from them for every operation."
    yield "## Roles of people"
    yield table(
        ("role", "scopes"), ((f"`{role}`", codes(sorted(scopes))) for role, scopes in PERSON_SCOPES.items())
    )
    yield "## Roles of service accounts"
    yield table(("role", "scopes"), ((role, codes(sorted(scopes))) for role, scopes in ROLE_SCOPES.items()))
    yield "## Accounts of ArtStore's own roles"
    yield table(
        ("account", "scopes"),
        ((f"`client-{role}`", codes(sorted(scopes))) for role, scopes in SERVICE_SCOPES.items()),
    )

"""ArtStore's own service accounts: the operator's, and one for each role."""

from dataclasses import dataclass
from typing import Final

from artstore.core.scopes import SERVICE_SCOPES, AccountRole


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """What an account of ours may do."""

    name: str
    role: AccountRole | None = None
    scopes: frozenset[str] = frozenset()


OPERATOR: Final = "administrator"
"""Name of the operator's account."""

SYSTEM_ACCOUNTS: Final = (
    # Whoever runs the cluster can always let people in again: nobody locks this account.
    SystemAccount(OPERATOR, role="ADMIN", scopes=frozenset({"people:read", "people:write"})),
    *(SystemAccount(name, scopes=scopes) for name, scopes in SERVICE_SCOPES.items()),
)


def secret_name(account_name: str) -> str:
    """The secret that keeps the credentials of the account."""
    return f"client-{account_name}"


def credentials_text(client_id: str, client_secret: str) -> bytes:
    """What that secret says; :meth:`ClientCredentials.parse` reads it."""
    return f"{client_id}:{client_secret}".encode()

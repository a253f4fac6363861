"""Which scopes there are, and which of them a role of a person or application has: one table."""

from collections.abc import Mapping, Set
from typing import Final, Literal, TypeVar

from artstore.core.spec import ForbiddenError

AccountRole = Literal["ADMIN", "OPERATOR", "USER", "AUDITOR", "READONLY"]
PersonRole = Literal["super_admin", "admin", "readonly"]
RoleName = TypeVar("RoleName", AccountRole, PersonRole)

SCOPES: Final[Mapping[str, str]] = {
    "files:read": "search, read metadata, download",
    "files:write": "upload",
    "files:delete": "delete files, where the mode of their element allows it",
    "storage:read": "read files, journal, information and capacity of storage elements, list elements",
    "storage:write": "upload to a storage element directly, change metadata there",
    "storage:delete": "delete from a storage element directly",
    "storage:admin": "register and remove storage elements, look after them, change their modes, hold files, "
    "answer restore requests",
    "storage:finalize": "make temporary files permanent, in place or by a copy (admin only)",
    "accounts:read": "list service accounts",
    "accounts:write": "create, rotate and delete service accounts",
    "keys:read": "see which keys sign access tokens",
    "keys:write": "replace the key that signs access tokens",
    "people:read": "list the people who may log in",
    "people:write": "create, change and delete people, reset their passwords, unlock them",
    "audit:read": "read, export and verify the audit log",
    "audit:write": "hand records of its own to the audit log (roles other than admin only)",
    "index:write": "hand a committed record to the index (ingester only)",
    "revocations:read": "learn which tokens are revoked (our own roles only)",
    "uploads:delegate": "act in the name of another principal (ingester and admin only)",
}
"""Every scope, with what it permits. A scope that is not here is never granted."""

_FILES: Final = frozenset({"files:read", "files:write", "files:delete"})
_STORAGE: Final = frozenset({"storage:read", "storage:write", "storage:delete", "storage:admin"})

ROLE_SCOPES: Final[Mapping[AccountRole, frozenset[str]]] = {
    "ADMIN": _FILES | _STORAGE | {"accounts:read", "accounts:write", "keys:read", "keys:write", "audit:read"},
    "OPERATOR": _FILES | _STORAGE,
    "USER": frozenset({"files:read", "files:write"}),
    "AUDITOR": frozenset({"audit:read", "files:read"}),
    "READONLY": frozenset({"files:read"}),
}

PERSON_SCOPES: Final[Mapping[PersonRole, frozenset[str]]] = {
    "super_admin": ROLE_SCOPES["ADMIN"] | {"people:read", "people:write"},
    "admin": ROLE_SCOPES["ADMIN"] | {"people:read"},
    "readonly": frozenset(
        {"files:read", "storage:read", "accounts:read", "keys:read", "people:read", "audit:read"}
    ),
}
"""What people may do. Names of roles differ in case from those of applications: none is both."""

SERVICE_SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "admin": frozenset(
        {
            "storage:read",
            "storage:write",
            "storage:delete",
            "storage:admin",
            "storage:finalize",
            "uploads:delegate",
        }
    ),
    "element": frozenset({"revocations:read", "audit:write"}),
    "ingester": frozenset(
        {
            "storage:read",
            "storage:write",
            "uploads:delegate",
            "index:write",
            "files:read",
            "revocations:read",
            "audit:write",
        }
    ),
    "query": frozenset({"storage:read", "revocations:read", "audit:write"}),
}
"""What the service account of each of our own roles needs, and nothing more."""


def scopes_of(role: str | None, explicit: frozenset[str] = frozenset()) -> frozenset[str]:
    """The scopes of an account. An unknown role has none; an unknown scope is not granted."""
    return _of(ROLE_SCOPES, role) | (explicit & SCOPES.keys())


def person_scopes(role: str) -> frozenset[str]:
    """The scopes of a person. An unknown role has none, and so has a role of applications."""
    return _of(PERSON_SCOPES, role)


def require_held(scopes: Set[str], held: Set[str]) -> None:
    """Nobody makes, changes or ends an identity that may do more than they may.

    Raises:
        ForbiddenError: ``scopes`` has what ``held`` has not.
    """
    if excess := sorted(scopes - held):
        raise ForbiddenError(f"this needs scopes that the access token does not have: {' '.join(excess)}")


def _of(table: Mapping[RoleName, frozenset[str]], role: str | None) -> frozenset[str]:
    return next((scopes for name, scopes in table.items() if name == role), frozenset[str]())

"""People who may log in, and hashes of their passwords."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import Field

from artstore.core.spec import (
    Database,
    ForbiddenError,
    NotFoundError,
    Parameter,
    PreconditionFailedError,
    Reader,
    Transaction,
)
from artstore.core.stores.login_failures import forget_name
from artstore.core.stores.rows import Record, StoredTime, count, insert_sql, text, to_microseconds
from artstore.core.stores.sessions import end_sessions

SUPER_ADMIN: Final = "super_admin"


class Person(Record):
    """One person. ``revision`` grows with every change that somebody made, not with logins."""

    id: str
    username: str
    email: str | None = None
    role: str
    enabled: bool = True
    password_hash: str = Field(repr=False)
    password_changed_at: StoredTime
    must_change_password: bool = False
    revision: int = 1
    created_at: StoredTime
    updated_at: StoredTime
    last_login_at: StoredTime | None = None


@dataclass(frozen=True, slots=True)
class PersonPage:
    """A slice of the people, and how many there are in all."""

    items: Sequence[Person]
    total: int


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that takes the place of another one."""

    hash: str
    at: datetime
    must_change: bool
    history: int
    """So many former ones are remembered."""


_UPDATE: Final = (
    "UPDATE people SET "
    + ", ".join(f"{column} = :{column}" for column in Person.model_fields if column != "id")
    + " WHERE id = :id"
)


class PeopleStore:
    """The people. Who is deleted leaves nothing here; the audit trail keeps what they did."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, person: Person) -> None:
        """Add a person.

        Raises:
            AlreadyExistsError: the username or the address is taken.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(insert_sql("people", Person), person.to_row())

    async def get(self, person_id: str) -> Person:
        """One person.

        Raises:
            NotFoundError: there is no such person.
        """
        return await _get(self._database, person_id)

    async def find(self, username: str) -> Person | None:
        """Who logs in as ``username``."""
        row = await self._database.fetch_one(
            "SELECT * FROM people WHERE username = :username", {"username": username}
        )
        return None if row is None else Person.from_row(row)

    async def list(
        self,
        *,
        role: str | None = None,
        enabled: bool | None = None,
        search: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> PersonPage:
        """People in the order of their usernames; ``search`` is a part of the username or address."""
        where, parameters = _where(role, enabled, search)
        rows = await self._database.fetch_all(
            f"SELECT * FROM people WHERE {where} ORDER BY username LIMIT :limit OFFSET :offset",
            {**parameters, "limit": limit, "offset": offset},
        )
        total = await count(self._database, f"SELECT 1 FROM people WHERE {where}", parameters)
        return PersonPage([Person.from_row(row) for row in rows], total)

    async def former_passwords(self, person_id: str, *, limit: int) -> Sequence[str]:
        """Hashes of the passwords before the present one, newest first."""
        rows = await self._database.fetch_all(
            "SELECT password_hash FROM former_passwords WHERE person_id = :id"
            " ORDER BY replaced_at DESC LIMIT :limit",
            {"id": person_id, "limit": limit},
        )
        return [text(row, "password_hash") for row in rows]

    async def change(self, person_id: str, change: Callable[[Person], Person], *, at: datetime) -> Person:
        """Change a person; the person as they are now. Whose rights change has to log in again.

        ``change`` is given the person as they are, and refuses by raising.

        Raises:
            NotFoundError: there is no such person.
            AlreadyExistsError: the new address is taken.
            ForbiddenError: nobody would be left who may manage people.
        """
        async with self._database.transaction() as transaction:
            person = await _get(transaction, person_id)
            wanted = change(person)
            changed = await _replace(transaction, person, wanted.model_copy(update={"updated_at": at}))
            if (changed.role, changed.enabled) != (person.role, person.enabled):
                await end_sessions(transaction, person.id, at=at)
            return changed

    async def replace_password(self, person: Person, new: NewPassword) -> Person:
        """Give a person, as they were read, another password. They have to log in again.

        Raises:
            NotFoundError: there is no such person any more.
            PreconditionFailedError: the password, or what the person may do, was changed meanwhile.
        """
        async with self._database.transaction() as transaction:
            current = await _get(transaction, person.id)
            if current.password_changed_at != person.password_changed_at:
                raise PreconditionFailedError("the password was changed meanwhile: log in with the new one")
            if current.role != person.role:  # whoever resets it may not be allowed to any more
                raise PreconditionFailedError("the role was changed meanwhile: try again")
            await _remember(transaction, current, new)
            await end_sessions(transaction, person.id, at=new.at)
            changed = {
                "password_hash": new.hash,
                "password_changed_at": new.at,
                "must_change_password": new.must_change,
                "updated_at": new.at,
            }
            return await _replace(transaction, current, current.model_copy(update=changed))

    async def delete(self, person_id: str, *, name_hash: str, at: datetime) -> None:
        """Delete a person with all that is known of them, also of logins under ``name_hash``.

        Raises:
            NotFoundError: there is no such person.
            ForbiddenError: nobody would be left who may manage people.
        """
        async with self._database.transaction() as transaction:
            person = await _get(transaction, person_id)
            if _manages(person):
                await _require_another_manager(transaction, person)
            await end_sessions(transaction, person.id, at=at)
            await forget_name(transaction, name_hash)
            await transaction.execute("DELETE FROM former_passwords WHERE person_id = :id", {"id": person.id})
            await transaction.execute("DELETE FROM people WHERE id = :id", {"id": person.id})

    async def rehash(self, person: Person, password_hash: str) -> None:
        """Keep another hash of the same password, unless the password has been changed meanwhile."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE people SET password_hash = :new WHERE id = :id AND password_hash = :old",
                {"id": person.id, "old": person.password_hash, "new": password_hash},
            )

    async def touch(self, person_id: str, *, at: datetime) -> None:
        """Note a login. An unknown person is not an error."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE people SET last_login_at = :at WHERE id = :id",
                {"id": person_id, "at": to_microseconds(at)},
            )


async def _get(reader: Reader, person_id: str) -> Person:
    row = await reader.fetch_one("SELECT * FROM people WHERE id = :id", {"id": person_id})
    if row is None:
        raise NotFoundError(f"there is no person {person_id}")
    return Person.from_row(row)


async def _replace(transaction: Transaction, old: Person, new: Person) -> Person:
    if _manages(old) and not _manages(new):
        await _require_another_manager(transaction, old)
    changed = new.model_copy(update={"revision": old.revision + 1})
    await transaction.execute(_UPDATE, changed.to_row())
    return changed


async def _remember(transaction: Transaction, person: Person, new: NewPassword) -> None:
    await transaction.execute(
        "INSERT INTO former_passwords (person_id, replaced_at, password_hash) VALUES (:id, :at, :hash)",
        {"id": person.id, "at": to_microseconds(new.at), "hash": person.password_hash},
    )
    await transaction.execute(
        "DELETE FROM former_passwords WHERE person_id = :id AND replaced_at NOT IN (SELECT replaced_at"
        " FROM former_passwords WHERE person_id = :id ORDER BY replaced_at DESC LIMIT :kept)",
        {"id": person.id, "kept": new.history},
    )


def _manages(person: Person) -> bool:
    return person.enabled and person.role == SUPER_ADMIN


async def _require_another_manager(transaction: Transaction, person: Person) -> None:
    others = "SELECT 1 FROM people WHERE role = :role AND enabled = :enabled AND id <> :id"
    if not await count(transaction, others, {"role": SUPER_ADMIN, "enabled": True, "id": person.id}):
        raise ForbiddenError(
            f"{person.username} is the last super_admin who is enabled: make another one first"
        )


def _where(role: str | None, enabled: bool | None, search: str | None) -> tuple[str, dict[str, Parameter]]:
    conditions: dict[str, tuple[str, Parameter]] = {
        "role": ("role = :role", role),
        "enabled": ("enabled = :enabled", enabled),
        "part": ("(username LIKE :part ESCAPE '!' OR email LIKE :part ESCAPE '!')", _part(search)),
    }
    chosen = {name: condition for name, condition in conditions.items() if condition[1] is not None}
    where = " AND ".join(["1 = 1", *(sql for sql, _ in chosen.values())])
    return where, {name: value for name, (_, value) in chosen.items()}


def _part(search: str | None) -> str | None:
    if search is None:
        return None
    escaped = search.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"

"""The people who may log in, managed by those who may manage them."""

import uuid
from collections.abc import Callable, Mapping, Set
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from artstore.core.logging import get_logger
from artstore.core.scopes import PersonRole, person_scopes, require_held
from artstore.core.spec import AlreadyExistsError
from artstore.core.stores.login_failures import LoginFailuresStore
from artstore.core.stores.people import NewPassword, PeopleStore, Person
from artstore.services.admin.logins import HIDDEN, TypedPassword
from artstore.services.admin.paging import Paging
from artstore.services.admin.password_hashes import PasswordHashes
from artstore.services.admin.password_policy import PasswordPolicy
from artstore.services.admin.revocations import Revocations

_log = get_logger("people")

Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$"),
    Field(description="3 to 100 letters, digits, dots, underscores and hyphens; case does not matter."),
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$"),
]


class NewPerson(BaseModel):
    """Somebody who may log in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    username: Username
    email: Email | None = None
    role: PersonRole = "readonly"
    password: Annotated[
        TypedPassword | None,
        Field(repr=False, description="Default: one is made, and shown this once.", json_schema_extra=HIDDEN),
    ] = None


class PersonChange(BaseModel):
    """What is to be true of a person; what is absent is removed or as for a new one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    email: Email | None = None
    role: PersonRole
    enabled: bool


class PasswordReset(BaseModel):
    """Another password for somebody else, who changes it at the next login."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    new_password: Annotated[
        TypedPassword | None,
        Field(repr=False, description="Default: one is made, and shown this once.", json_schema_extra=HIDDEN),
    ] = None


class PersonQuery(Paging):
    """Which people to list."""

    role: PersonRole | None = None
    enabled: bool | None = None
    search: Annotated[
        str | None, Field(min_length=1, max_length=100, description="Part of a username or address.")
    ] = None


class PersonView(BaseModel):
    """A person without their password."""

    id: uuid.UUID
    username: str
    email: str | None = None
    role: str
    scopes: Annotated[list[str], Field(description="Everything they may do.")]
    enabled: bool
    must_change_password: Annotated[bool, Field(description="Before anything else.")]
    password_changed_at: datetime
    password_expires_at: datetime | None = None
    password_expires_soon: bool
    locked_until: Annotated[
        datetime | None, Field(description="Some place is locked out after too many wrong passwords.")
    ] = None
    last_login_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: Annotated[int, Field(description="Grows with every change; the ETag.")]


class PersonWithPassword(PersonView):
    """A person and the password that was made for them, which is shown this once."""

    password: Annotated[str | None, Field(repr=False, description="Absent when it was not made here.")] = None


class PersonPage(BaseModel):
    """A slice of the people, by username."""

    items: list[PersonView]
    total: int
    limit: int
    offset: int
    has_more: bool


class People:
    """Manages people on behalf of somebody who has ``held_scopes``."""

    def __init__(
        self,
        store: PeopleStore,
        failures: LoginFailuresStore,
        *,
        hashes: PasswordHashes,
        policy: PasswordPolicy,
        revocations: Revocations,
        keyed_hash: Callable[[str], str],
    ) -> None:
        self._store = store
        self._failures = failures
        self._hashes = hashes
        self._policy = policy
        self._revocations = revocations
        self._keyed_hash = keyed_hash

    async def create(self, new: NewPerson, *, held_scopes: Set[str]) -> PersonWithPassword:
        """Add a person, who changes the password at the first login.

        Raises:
            ForbiddenError: they would be allowed more than whoever asks.
            InvalidRequestError: the password breaks a rule.
            AlreadyExistsError: the username or the address is taken.
        """
        require_held(person_scopes(new.role), held_scopes)
        password = await self._checked(new.password, (new.username, new.email or ""), field="password")
        now = datetime.now(UTC)
        person = Person(
            id=str(uuid.uuid4()),
            username=new.username,
            email=new.email,
            role=new.role,
            password_hash=await self._hashes.hash(password),
            password_changed_at=now,
            must_change_password=True,
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.create(person)
        except AlreadyExistsError:
            raise AlreadyExistsError("the username or the address is taken") from None
        _log.info("person_created", person=person.username, role=person.role)
        return await self._with_password(person, None if new.password else password)

    async def list(self, query: PersonQuery) -> PersonPage:
        """People by username."""
        page = await self._store.list(
            role=query.role,
            enabled=query.enabled,
            search=query.search,
            limit=query.limit,
            offset=query.offset,
        )
        locked = await self._failures.locked(at=datetime.now(UTC))
        return PersonPage(
            items=[PersonView.model_validate(self._shown(person, locked)) for person in page.items],
            total=page.total,
            limit=query.limit,
            offset=query.offset,
            has_more=query.offset + len(page.items) < page.total,
        )

    async def get(self, person_id: str) -> PersonView:
        """One person.

        Raises:
            NotFoundError: there is no such person.
        """
        return await self._view(await self._store.get(person_id))

    async def change(
        self,
        person_id: str,
        change: PersonChange,
        *,
        held_scopes: Set[str],
        check: Callable[[Person], object],
    ) -> PersonView:
        """Change a person. ``check`` is given them as they are, and refuses by raising.

        Raises:
            NotFoundError: there is no such person.
            ForbiddenError: they may do more than whoever asks, or would; or nobody would be left who may
                manage people.
            AlreadyExistsError: the address is taken.
        """

        def changed(person: Person) -> Person:
            require_held(person_scopes(person.role) | person_scopes(change.role), held_scopes)
            check(person)
            return person.model_copy(update=change.model_dump())

        try:
            person = await self._store.change(person_id, changed, at=datetime.now(UTC))
        except AlreadyExistsError:
            raise AlreadyExistsError("the address is taken") from None
        await self._revocations.look()
        _log.info("person_changed", person=person.username, role=person.role, enabled=person.enabled)
        return await self._view(person)

    async def delete(self, person_id: str, *, held_scopes: Set[str]) -> None:
        """Delete a person; their tokens are refused at once.

        Raises:
            NotFoundError: there is no such person.
            ForbiddenError: they may do more than whoever asks, or nobody would be left who may manage people.
        """
        person = await self._manageable(person_id, held_scopes)
        await self._store.delete(person_id, name_hash=self._keyed_hash(person.username), at=datetime.now(UTC))
        await self._revocations.look()
        _log.info("person_deleted", person=person.username)

    async def reset_password(
        self, person_id: str, reset: PasswordReset, *, held_scopes: Set[str]
    ) -> PersonWithPassword:
        """Give somebody another password, which lets them in again wherever they are locked out.

        Raises:
            NotFoundError: there is no such person.
            ForbiddenError: they may do more than whoever asks.
            InvalidRequestError: the password breaks a rule.
        """
        person = await self._manageable(person_id, held_scopes)
        about = (person.username, person.email or "")
        password = await self._checked(reset.new_password, about, field="new_password")
        new = NewPassword(
            await self._hashes.hash(password),
            at=datetime.now(UTC),
            must_change=True,
            history=self._policy.history,
        )
        person = await self._store.replace_password(person, new)
        await self._failures.unlock(self._keyed_hash(person.username))
        await self._revocations.look()
        _log.info("password_reset", person=person.username)
        return await self._with_password(person, None if reset.new_password else password)

    async def unlock(self, person_id: str, *, held_scopes: Set[str]) -> PersonView:
        """Forget the wrong passwords that somebody, or somebody else, has tried.

        Raises:
            NotFoundError: there is no such person.
            ForbiddenError: they may do more than whoever asks.
        """
        person = await self._manageable(person_id, held_scopes)
        await self._failures.unlock(self._keyed_hash(person.username))
        _log.info("person_unlocked", person=person.username)
        return await self._view(person)

    async def _manageable(self, person_id: str, held_scopes: Set[str]) -> Person:
        person = await self._store.get(person_id)
        require_held(person_scopes(person.role), held_scopes)
        return person

    async def _checked(self, password: str | None, about: tuple[str, str], *, field: str) -> str:
        """The password that was given, if no rule refuses it; a new one if none was."""
        if password is None:
            return self._policy.generate()
        await self._policy.check(password, about=about, field=field)
        return password

    async def _view(self, person: Person) -> PersonView:
        locked = await self._failures.locked(at=datetime.now(UTC))
        return PersonView.model_validate(self._shown(person, locked))

    async def _with_password(self, person: Person, password: str | None) -> PersonWithPassword:
        locked = await self._failures.locked(at=datetime.now(UTC))
        return PersonWithPassword.model_validate({**self._shown(person, locked), "password": password})

    def _shown(self, person: Person, locked: Mapping[str, datetime]) -> dict[str, object]:
        age = self._policy.age(person)
        return {
            **person.model_dump(),
            "scopes": sorted(person_scopes(person.role)),
            "password_expires_at": age.expires_at,
            "password_expires_soon": age.is_warned,
            "locked_until": locked.get(self._keyed_hash(person.username)),
        }

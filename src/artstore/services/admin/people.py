"""The people who may log in, managed by those who may manage them."""

import uuid
from collections.abc import Callable, Mapping, Set
from datetime import UTC, datetime

from artstore.core.logging import get_logger
from artstore.core.scopes import person_scopes, require_held
from artstore.core.spec import AlreadyExistsError
from artstore.core.stores.login_failures import LoginFailuresStore
from artstore.core.stores.people import NewPassword, PeopleStore, Person
from artstore.services.admin.password_hashes import PasswordHashes
from artstore.services.admin.password_policy import PasswordPolicy
from artstore.services.admin.person_models import (
    NewPerson,
    PasswordReset,
    PersonChange,
    PersonPage,
    PersonQuery,
    PersonView,
    PersonWithPassword,
)
from artstore.services.admin.revocations import Revocations

_log = get_logger("people")


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

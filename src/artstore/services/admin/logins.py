"""Logging in, staying logged in, logging out, and changing one's own password.

How many passwords somebody may try, and why nobody can be locked out by strangers for good, is told in
docs/adr/0024-people.md.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from artstore.core.audit.notes import note
from artstore.core.logging import get_logger
from artstore.core.protection import address_group
from artstore.core.spec import (
    ArtStoreError,
    ForbiddenError,
    InvalidRequestError,
    LockedOutError,
    LoginRefusedError,
    NotFoundError,
    PasswordExpiredError,
    Principal,
    UnauthenticatedError,
)
from artstore.core.stores.login_failures import LoginFailuresStore
from artstore.core.stores.people import NewPassword, PeopleStore, Person
from artstore.core.stores.sessions import SessionsStore
from artstore.services.admin.login_models import Login, PasswordChange
from artstore.services.admin.password_hashes import PasswordHashes
from artstore.services.admin.password_policy import PasswordPolicy
from artstore.services.admin.person_tokens import PersonTokens, actor_of
from artstore.services.admin.revocations import Revocations
from artstore.services.admin.token_models import PersonToken

_log = get_logger("logins")


class Logins:
    """What people do for themselves. ``keyed_hash`` makes of a name what is kept of it."""

    def __init__(
        self,
        people: PeopleStore,
        sessions: SessionsStore,
        failures: LoginFailuresStore,
        *,
        hashes: PasswordHashes,
        policy: PasswordPolicy,
        tokens: PersonTokens,
        revocations: Revocations,
        keyed_hash: Callable[[str], str],
    ) -> None:
        self._people = people
        self._sessions = sessions
        self._failures = failures
        self._hashes = hashes
        self._policy = policy
        self._tokens = tokens
        self._revocations = revocations
        self._keyed_hash = keyed_hash

    async def login(self, login: Login, *, address: str) -> PersonToken:
        """Tokens for a new session.

        Raises:
            LoginRefusedError: name and password do not belong together, or nobody has that name.
            LockedOutError: too many were wrong before.
            PasswordExpiredError: they are right, but the password has to be changed first.
            ForbiddenError: they are right, but the person is disabled.
        """
        person = await self._authenticate(login, address=address)
        self._require_fresh_password(person)
        issued = await self._tokens.issue(person)
        now = datetime.now(UTC)
        if not await self._sessions.begin(issued.kept, revision=person.revision, at=now):
            raise LoginRefusedError(_REFUSED)  # changed or deleted a moment ago
        await self._note_login(person, login.password, at=now)
        return issued.answer

    async def refresh(self, token: str) -> PersonToken:
        """The next tokens of a session.

        Raises:
            UnauthenticatedError: the token is not good any more; one that was used has ended its session.
            PasswordExpiredError: the password has to be changed, and its owner to log in again.
        """
        found = await self._sessions.find(token)
        if found is None:
            raise UnauthenticatedError(_NOT_GOOD)
        try:
            person = await self._people.get(found.person_id)
        except NotFoundError:
            raise UnauthenticatedError(_NOT_GOOD) from None
        note(actor=actor_of(person))
        self._require_fresh_password(person)
        issued = await self._tokens.issue(person, session_id=found.session_id)
        now = datetime.now(UTC)
        if await self._sessions.rotate(found, issued.kept, revision=person.revision, at=now):
            return issued.answer
        note(reason="reused_or_ended")
        _log.warning("refresh_token_refused", person=person.username)
        await self._revocations.look()
        raise UnauthenticatedError(_NOT_GOOD)

    async def logout(self, principal: Principal) -> None:
        """End the session in which the access token was issued, and the token with it.

        Raises:
            NotFoundError: it has ended already.
        """
        now = datetime.now(UTC)
        if not await self._sessions.end_by_access_token(principal.token_id or "", at=now):
            raise NotFoundError("this session has ended already")
        await self._revocations.look()

    async def change_password(self, change: PasswordChange, *, address: str) -> None:
        """Take another password, also in place of one that has expired. Every session ends.

        Raises:
            InvalidRequestError: the new one breaks a rule.
            LoginRefusedError, LockedOutError, ForbiddenError: as :meth:`login`.
        """
        person = await self._authenticate(change, address=address)
        about = (person.username, person.email or "")
        await self._policy.check(change.new_password, about=about, field="new_password")
        await self._require_new(person, change.new_password)
        new = NewPassword(
            await self._hashes.hash(change.new_password),
            at=datetime.now(UTC),
            must_change=False,
            history=self._policy.history,
        )
        await self._people.replace_password(person, new)
        await self._revocations.look()
        _log.info("password_changed", person=person.username)

    async def _authenticate(self, login: Login, *, address: str) -> Person:
        """The same work and the same answer, whether or not somebody has the name."""
        username = login.username.lower()
        name_hash, place = self._keyed_hash(username), address_group(address)
        now = datetime.now(UTC)
        if (until := await self._failures.count_attempt(name_hash, place, at=now)) is not None:
            raise LockedOutError(
                "too many wrong passwords: wait, or have a super_admin unlock you",
                retry_after=(until - now).total_seconds(),
            )
        person = await self._people.find(username)
        if person is not None:
            note(actor=actor_of(person))
        if not await self._is_right(person, login.password) or person is None:
            note(reason="unknown_name" if person is None else "wrong_password")
            # Not the name: it may be a password that was put into the wrong field.
            _log.info("login_refused", person=person.username if person else None)
            raise LoginRefusedError(_REFUSED)
        await self._failures.note_success(name_hash, place, at=now)
        if not person.enabled:
            raise ForbiddenError("you are disabled: ask a super_admin")
        return person

    async def _is_right(self, person: Person | None, password: str) -> bool:
        if person is None:
            await self._hashes.verify_nobody(password)
            return False
        return await self._hashes.verify(person.password_hash, password)

    def _require_fresh_password(self, person: Person) -> None:
        expires_at = self._policy.age(person).expires_at
        if person.must_change_password or (expires_at is not None and expires_at <= datetime.now(UTC)):
            raise PasswordExpiredError(
                "the password has to be changed before anything else: POST /api/v1/admin-auth/change-password"
            )

    async def _require_new(self, person: Person, password: str) -> None:
        former = await self._people.former_passwords(person.id, limit=self._policy.history)
        if await self._hashes.is_former([person.password_hash, *former], password):
            raise InvalidRequestError(
                "new_password: was used before", [("new_password", "was used before: choose another one")]
            )

    async def _note_login(self, person: Person, password: str, *, at: datetime) -> None:
        try:
            await self._people.touch(person.id, at=at)
            if self._hashes.is_outdated(person.password_hash):
                await self._people.rehash(person, await self._hashes.hash(password))
        except ArtStoreError as error:
            _log.warning("login_not_noted", person=person.username, reason=error.detail)


_REFUSED: Final = "name or password are not right"
_NOT_GOOD: Final = "the refresh token is not good any more; log in again"

"""Which access tokens are refused before they expire: what admin publishes, and the list of each role."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from artstore.core.spec import Principal, UnauthenticatedError, UnavailableError

KEPT_FOR: Final = timedelta(hours=25)
"""The longest lifetime a token can have, and an hour: then nothing is left that could be refused."""

FIRST_LIST_TIMEOUT: Final = 5.0
"""Seconds a request waits for the first list of a role that has just started."""


class Revocation(BaseModel):
    """One token, every token that a key has signed, or those of a client issued before a moment.

    Of several that name one client, the latest holds: it may give the client back what another took.
    """

    model_config = ConfigDict(frozen=True)

    token_id: Annotated[str | None, Field(description="The `jti` of one token.")] = None
    key_id: Annotated[str | None, Field(description="The `kid` of a key that was withdrawn.")] = None
    client_id: Annotated[str | None, Field(description="Whose tokens, all of them.")] = None
    issued_before: Annotated[
        datetime | None, Field(description="With `client_id`: later tokens are not meant.")
    ] = None
    revoked_at: datetime
    expires_at: Annotated[datetime, Field(description="By then every token that is meant has expired.")]


class RevocationPage(BaseModel):
    """What was revoked after a position that somebody knew; all of it for one that admin does not know."""

    items: list[Revocation]
    position: Annotated[str, Field(description="What to ask for next.")]
    has_more: bool


_REVOCATIONS: Final = TypeAdapter(list[Revocation])


class RevocationList:
    """Everything that is revoked now, as far as this process knows. It is small: it lives in memory."""

    def __init__(self) -> None:
        self._tokens: dict[str, Revocation] = {}
        self._keys: dict[str, Revocation] = {}
        self._clients: dict[str, Revocation] = {}
        self._is_known = asyncio.Event()
        # Where nobody follows the list of an admin, there is nothing to wait for.
        self._is_known.set()

    def __len__(self) -> int:
        return len(self._all())

    def expect(self) -> None:
        """Somebody will bring the list: until all of it is there, what is revoked is not known."""
        self._is_known.clear()

    def is_there(self) -> None:
        """What was expected has been brought."""
        self._is_known.set()

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Learn of more. Nothing that was revoked is forgotten before its time, whoever has forgotten it."""
        now = datetime.now(UTC)
        for each in self._all():
            if each.expires_at <= now:
                self._forget(each)
        for each in revocations:
            if each.token_id is not None:
                self._tokens[each.token_id] = each
            if each.key_id is not None:
                self._keys[each.key_id] = each
            if each.client_id is not None and not self._is_outdated(each.client_id, each):
                self._clients[each.client_id] = each

    async def require_valid(self, principal: Principal) -> None:
        """Let pass who is not revoked.

        Raises:
            UnauthenticatedError: the token was revoked, its key withdrawn, its client suspended or gone.
            UnavailableError: nothing is known yet of what is revoked.
        """
        if not self._is_known.is_set():
            await self._wait()
        if self.has_revoked(
            principal.token_id,
            principal.client_id,
            issued_at=principal.issued_at,
            key_id=principal.key_id,
        ):
            raise UnauthenticatedError("the access token was revoked; request a new one")

    def has_revoked(
        self, token_id: str | None, client_id: str, *, issued_at: datetime | None, key_id: str | None
    ) -> bool:
        """Whether the list names a token, the key that signed it, or its client and a later moment."""
        if token_id in self._tokens or key_id in self._keys:
            return True
        revocation = self._clients.get(client_id)
        if revocation is None or revocation.issued_before is None:
            return False
        # Of a token that does not say when it was issued, the worst is assumed.
        return issued_at is None or issued_at < revocation.issued_before

    def dump(self) -> bytes:
        """All of it, for :meth:`load`."""
        return _REVOCATIONS.dump_json(self._all())

    def load(self, dumped: bytes) -> None:
        """Learn of what another list has.

        Raises:
            ValueError: it is no list.
        """
        self.add(_REVOCATIONS.validate_json(dumped))

    def _all(self) -> list[Revocation]:
        return [*self._tokens.values(), *self._keys.values(), *self._clients.values()]

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(FIRST_LIST_TIMEOUT):
                await self._is_known.wait()
        except TimeoutError:
            raise UnavailableError(
                "admin cannot be reached, so it is not known which tokens are revoked; try again",
                retry_after=FIRST_LIST_TIMEOUT,
            ) from None

    def _is_outdated(self, client_id: str, revocation: Revocation) -> bool:
        known = self._clients.get(client_id)
        return known is not None and known.revoked_at > revocation.revoked_at

    def _forget(self, revocation: Revocation) -> None:
        if revocation.token_id is not None:
            self._tokens.pop(revocation.token_id, None)
        if revocation.key_id is not None:
            self._keys.pop(revocation.key_id, None)
        if revocation.client_id is not None:
            self._clients.pop(revocation.client_id, None)


def withdrawn_key(key_id: str, *, at: datetime) -> Revocation:
    """Refuses every token that a key has signed, or somebody with it, whatever the token says.

    What nobody's published keys have any more is refused without it; a verifier that cannot reach admin
    believes the keys it has for a day at most.
    """
    return Revocation(key_id=key_id, revoked_at=at, expires_at=at + KEPT_FOR)


def whole_client(client_id: str, *, at: datetime) -> Revocation:
    """Refuses every token that the client has at this moment.

    Times in tokens are whole seconds. Those of the second that has begun are refused, too: the issuer
    dates the client's next token no earlier (:func:`tokens_valid_from`).
    """
    return Revocation(
        client_id=client_id,
        issued_before=tokens_valid_from(at),
        revoked_at=at,
        expires_at=at + KEPT_FOR,
    )


def closed_client(client_id: str, *, at: datetime) -> Revocation:
    """Refuses every token of a client that may have none: also one that is being issued just now."""
    return whole_client(client_id, at=at).model_copy(update={"issued_before": at + KEPT_FOR})


def tokens_valid_from(at: datetime) -> datetime:
    """The first second that begins after ``at``."""
    return at.replace(microsecond=0) + timedelta(seconds=1)

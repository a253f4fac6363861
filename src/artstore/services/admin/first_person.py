"""The first super_admin: made where nobody can log in yet, with a password that is kept as a secret."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from artstore.core.logging import get_logger
from artstore.core.secrets import SecretsChain
from artstore.core.spec import AlreadyExistsError, ConfigurationError, InvalidRequestError
from artstore.core.stores.people import SUPER_ADMIN, PeopleStore, Person
from artstore.services.admin.password_hashes import PasswordHashes
from artstore.services.admin.password_policy import PasswordPolicy

FIRST_USERNAME: Final = "admin"
FIRST_PASSWORD: Final = "admin-password"  # noqa: S105 - the name of the secret

_log = get_logger("bootstrap")


@dataclass(frozen=True, slots=True)
class FirstLogin:
    """With what the first person logs in, to be shown once to whoever starts the cluster."""

    username: str
    password: str = field(repr=False)


async def make_first_person(
    people: PeopleStore, *, hashes: PasswordHashes, policy: PasswordPolicy, chain: SecretsChain
) -> FirstLogin | None:
    """Make somebody who may manage people, where there is nobody; ``None`` where there is.

    Somebody else has seen the password: it has to be changed at the first login.

    Raises:
        ConfigurationError: the password cannot be kept, or breaks a rule.
    """
    if (await people.list(limit=1)).total:
        return None
    kept = await chain.get_or_create(FIRST_PASSWORD, policy.generate().encode())
    password = kept.text().strip()
    try:
        await policy.check(password, about=(FIRST_USERNAME,), field=f"secret {FIRST_PASSWORD}")
    except InvalidRequestError as error:
        raise ConfigurationError(f"{error.detail} ({kept.source})") from None
    now = datetime.now(UTC)
    person = Person(
        id=str(uuid.uuid4()),
        username=FIRST_USERNAME,
        role=SUPER_ADMIN,
        password_hash=await hashes.hash(password),
        password_changed_at=now,
        must_change_password=True,
        created_at=now,
        updated_at=now,
    )
    try:
        await people.create(person)
    except AlreadyExistsError:  # another process was first
        return None
    _log.info("first_person_made", person=person.username)
    return FirstLogin(person.username, password)

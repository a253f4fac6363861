"""The parts of admin that concern people, joined."""

from dataclasses import dataclass
from datetime import timedelta

from artstore.core.config import Settings
from artstore.core.secrets import SecretsChain
from artstore.core.spec import Database
from artstore.core.stores.audit_due import RecordedDatabase
from artstore.core.stores.login_failures import Lockout, LoginFailuresStore
from artstore.core.stores.people import PeopleStore
from artstore.core.stores.sessions import SessionsStore
from artstore.services.admin.client_secrets import ClientSecrets
from artstore.services.admin.first_person import FirstLogin, make_first_person
from artstore.services.admin.logins import Logins
from artstore.services.admin.password_hashes import PasswordHashes
from artstore.services.admin.password_policy import PasswordPolicy
from artstore.services.admin.people import People
from artstore.services.admin.person_tokens import PersonTokens
from artstore.services.admin.revocations import Revocations
from artstore.services.admin.tokens import TokenIssuer


@dataclass(frozen=True, slots=True)
class PeopleComponents:
    """Who people are, and how they log in. ``first_login`` is there at the start that made it."""

    people: People
    logins: Logins
    first_login: FirstLogin | None
    hashes: PasswordHashes


async def make_people_components(
    settings: Settings,
    *,
    database: Database,
    sessions: SessionsStore,
    chain: SecretsChain,
    client_secrets: ClientSecrets,
    issuer: TokenIssuer,
    revocations: Revocations,
) -> PeopleComponents:
    """Join the parts, with the first person where there is nobody.

    Raises:
        ConfigurationError: the first password cannot be kept, or breaks a rule.
    """
    store = PeopleStore(RecordedDatabase(database))
    hashes, policy = PasswordHashes(), PasswordPolicy(settings.admin.passwords)
    limits = settings.admin.logins
    lockout = Lockout(limits.max_failures, timedelta(seconds=limits.lockout_duration))
    failures = LoginFailuresStore(database, lockout)

    def keyed_hash(username: str) -> str:
        return client_secrets.digest(f"username:{username}")

    people = People(
        store,
        failures,
        hashes=hashes,
        policy=policy,
        revocations=revocations,
        keyed_hash=keyed_hash,
    )
    logins = Logins(
        store,
        sessions,
        failures,
        hashes=hashes,
        policy=policy,
        tokens=PersonTokens(
            issuer,
            policy,
            audience=settings.audience,
            refresh_lifetime=limits.session_lifetime,
        ),
        revocations=revocations,
        keyed_hash=keyed_hash,
    )
    first_login = await make_first_person(store, hashes=hashes, policy=policy, chain=chain)
    return PeopleComponents(people, logins, first_login, hashes)

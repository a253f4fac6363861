"""The parts of an admin application, joined: what handlers and background jobs work with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from artstore.core.audit.trail import AuditTrail
from artstore.core.client.roles import RoleClient
from artstore.core.config import Settings
from artstore.core.http.rates import RateLimiter
from artstore.core.metrics import Metrics
from artstore.core.revocation import RevocationList
from artstore.core.secrets import SecretsChain
from artstore.core.spec import Cache, Database
from artstore.core.stores.account_usage import UsageStore
from artstore.core.stores.accounts import AccountsStore
from artstore.core.stores.assertions import AssertionsStore
from artstore.core.stores.audit_due import RecordedDatabase
from artstore.core.stores.elements import ElementsStore
from artstore.core.stores.files import FilesStore
from artstore.core.stores.finalizations import FinalizationsStore
from artstore.core.stores.keys import KeysStore
from artstore.core.stores.revocations import RevocationsStore
from artstore.core.stores.sessions import SessionsStore
from artstore.services.admin.account_census import AccountCensus
from artstore.services.admin.account_models import AccountEnvironment
from artstore.services.admin.account_usage import UsageRecorder
from artstore.services.admin.bootstrap import Bootstrap, required_secret
from artstore.services.admin.client_assertions import ClientAssertions
from artstore.services.admin.client_authentication import ClientAuthenticator
from artstore.services.admin.client_secrets import PEPPER, ClientSecrets
from artstore.services.admin.element_watch import ElementWatch
from artstore.services.admin.elements import ElementRegistry
from artstore.services.admin.files import FileRegistry
from artstore.services.admin.finalization_calls import FinalizationCalls
from artstore.services.admin.finalization_steps import FinalizationSteps
from artstore.services.admin.finalizations import Finalizations
from artstore.services.admin.finalizer import Finalizer
from artstore.services.admin.guesses import GuessLimit
from artstore.services.admin.holds import HoldRelay
from artstore.services.admin.indexer import Indexer
from artstore.services.admin.key_rotation import KeyRotation
from artstore.services.admin.master_key import MASTER_KEY, MasterKey
from artstore.services.admin.metadata import server_names
from artstore.services.admin.metrics import AdminMetrics
from artstore.services.admin.people_components import PeopleComponents, make_people_components
from artstore.services.admin.resource_indicators import Resources
from artstore.services.admin.revocations import Revocations
from artstore.services.admin.service_accounts import ServiceAccounts
from artstore.services.admin.signing_keys import SigningKeys
from artstore.services.admin.system_accounts import OPERATOR
from artstore.services.admin.token_endpoint import TokenEndpoint
from artstore.services.admin.token_reading import TokenReader
from artstore.services.admin.token_status import TokenStatus
from artstore.services.admin.tokens import TokenIssuer

ENVIRONMENTS: Final[Mapping[str, AccountEnvironment]] = {"development": "dev", "production": "prod"}


@dataclass(frozen=True, slots=True)
class Components:
    """Everything the admin role is made of."""

    metrics: AdminMetrics
    keys_store: KeysStore
    signing_keys: SigningKeys
    key_rotation: KeyRotation
    tokens: TokenEndpoint
    token_status: TokenStatus
    revocations: Revocations
    guesses: GuessLimit
    people: PeopleComponents
    accounts: ServiceAccounts
    account_census: AccountCensus
    account_usage: UsageRecorder
    elements: ElementRegistry
    element_watch: ElementWatch
    files: FileRegistry
    holds: HoldRelay
    indexer: Indexer
    finalizations: Finalizations
    finalizer: Finalizer


async def make_components(
    settings: Settings,
    *,
    secrets: SecretsChain,
    cache: Cache,
    rates: RateLimiter,
    database: Database,
    client: RoleClient,
    metrics: Metrics,
    revoked: RevocationList,
    trail: AuditTrail | None,
) -> Components:
    """Join the parts, with the keys and accounts that every start makes sure of.

    Raises:
        ConfigurationError: a secret is missing, too short, or not the one it was.
    """
    # What elements tell has its record at each of them, and what is counted needs none.
    recorded = RecordedDatabase(database)
    accounts, elements, files = AccountsStore(recorded), ElementsStore(recorded), FilesStore(database)
    client_secrets = ClientSecrets(await required_secret(secrets, PEPPER))
    measured = AdminMetrics(metrics.registry)
    keys_store, signing_keys, key_rotation = await _open_keys(
        settings, recorded, chain=secrets, metrics=measured, trail=trail
    )
    environment = ENVIRONMENTS[settings.environment]
    await Bootstrap(accounts, client_secrets=client_secrets, chain=secrets, environment=environment).run()
    registry = ElementRegistry(elements, client)
    file_registry = FileRegistry(files, elements, client)
    issuer = TokenIssuer(
        signing_keys,
        issuer=settings.issuer_url(),
        lifetime=settings.admin.token_lifetime,
        rate_limit=settings.admin.rate_limit,
    )
    usage = UsageRecorder(UsageStore(database))
    assertions = ClientAssertions(AssertionsStore(database), audiences=server_names(settings))
    clients = ClientAuthenticator(
        accounts, client_secrets, assertions, usage, stand_in=await _operator_of(accounts)
    )
    revocations = Revocations(RevocationsStore(recorded), revoked)
    await revocations.look()
    sessions = SessionsStore(recorded)
    people = await make_people_components(
        settings,
        database=database,
        sessions=sessions,
        chain=secrets,
        client_secrets=client_secrets,
        issuer=issuer,
        revocations=revocations,
    )
    finalizing = FinalizationsStore(recorded)
    steps, finalizer = _make_finalizer(settings, finalizing, files, elements, client, measured)
    return Components(
        metrics=measured,
        keys_store=keys_store,
        signing_keys=signing_keys,
        key_rotation=key_rotation,
        tokens=TokenEndpoint(accounts, clients, issuer, usage, resources=Resources(settings, elements)),
        guesses=GuessLimit(cache, rates, quota=settings.server.rate_limits.failures),
        token_status=TokenStatus(
            clients,
            TokenReader(signing_keys, sessions, issuer=settings.issuer_url()),
            revocations,
            sessions,
        ),
        revocations=revocations,
        people=people,
        accounts=ServiceAccounts(
            accounts,
            usage=UsageStore(database),
            client_secrets=client_secrets,
            chain=secrets,
            environment=environment,
            revocations=revocations,
        ),
        account_census=AccountCensus(accounts, measured.accounts),
        account_usage=usage,
        elements=registry,
        element_watch=ElementWatch(elements, registry, seeds=settings.element_urls()),
        files=file_registry,
        holds=HoldRelay(file_registry, files, finalizing, client),
        indexer=Indexer(files, elements, client, measured.index),
        finalizations=Finalizations(
            finalizing, files, elements, steps=steps, finalizer=finalizer, metrics=measured.finalizations
        ),
        finalizer=finalizer,
    )


async def _open_keys(
    settings: Settings,
    database: Database,
    *,
    chain: SecretsChain,
    metrics: AdminMetrics,
    trail: AuditTrail | None,
) -> tuple[KeysStore, SigningKeys, KeyRotation]:
    store, master_key = KeysStore(database), MasterKey(await required_secret(chain, MASTER_KEY))
    key_settings = settings.admin.signing_keys
    keys = SigningKeys(store, master_key, refresh_interval=key_settings.refresh_interval)
    rotation = KeyRotation(
        store,
        keys,
        master_key,
        chain=chain,
        settings=key_settings,
        token_lifetime=timedelta(seconds=settings.admin.token_lifetime),
        metrics=metrics.keys,
        trail=trail,
    )
    await rotation.open()
    return store, keys, rotation


async def _operator_of(accounts: AccountsStore) -> str:
    """The client id of an account that is always there."""
    operator = await accounts.find_by_name(OPERATOR)
    assert operator is not None, "bootstrap has made sure of it"
    return operator.client_id


def _make_finalizer(
    settings: Settings,
    finalizing: FinalizationsStore,
    files: FilesStore,
    elements: ElementsStore,
    client: RoleClient,
    metrics: AdminMetrics,
) -> tuple[FinalizationSteps, Finalizer]:
    steps = FinalizationSteps(
        files,
        elements,
        FinalizationCalls(elements, client),
        removal_delay=timedelta(seconds=settings.admin.source_removal_delay),
    )
    finalizer = Finalizer(
        finalizing,
        steps,
        metrics.finalizations,
        attempts=settings.admin.finalization_attempts,
        retention=timedelta(days=settings.admin.finalization_retention),
    )
    return steps, finalizer

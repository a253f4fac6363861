"""Joins roles, settings and plugins into applications."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from aiohttp import web

from artstore.cli.secrets_chain import prepare_secrets
from artstore.core import registry as kinds
from artstore.core.app import Open, Resource, Role, build_app
from artstore.core.audit.shipping import shipping
from artstore.core.audit.trail import AuditTrail, open_trail
from artstore.core.client.audit import AdminDelivery
from artstore.core.client.networks import Reach, origin_of
from artstore.core.client.revocations import follow_revocations
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import PluginSection, RoleName, Settings
from artstore.core.keys import (
    AUDIT,
    AUTHENTICATOR,
    CACHE,
    CATALOG,
    CLIENT,
    DATABASE,
    HEALTH,
    METRICS,
    SECRETS,
    STORAGE,
    TLS,
)
from artstore.core.logging import get_logger
from artstore.core.registry import Kind, Registry
from artstore.core.secrets import SecretsChain
from artstore.core.spec import ArtStoreError, ConfigurationError, UnavailableError
from artstore.services import ingester, query, storage_element
from artstore.services.admin import role as admin

T = TypeVar("T")

_log: Final = get_logger("client")

ROLES: Final[Mapping[RoleName, Role]] = {
    "admin": admin.ROLE,
    "element": storage_element.ROLE,
    "ingester": ingester.ROLE,
    "query": query.ROLE,
}


def make_app(role: RoleName, settings: Settings) -> web.Application:
    """The application of one role, with the plugins that ``settings`` names. No I/O but imports.

    Raises:
        ConfigurationError: a plugin is missing, or its options are wrong.
    """
    registry = Registry(base_directory=settings.base_directory)
    secrets = prepare_secrets(registry, settings)
    resources = [Resource(SECRETS, lambda app: secrets(app[METRICS])), Resource(None, _tls)]
    if settings.audit.enabled:
        resources.append(Resource(AUDIT, _trail(role, settings)))
    for key, kind, section in plugin_sections(role, registry, settings):
        registry.provider(kind, section.type)
        resources.append(Resource(key, _plugin(registry, kind, section, settings)))
    resources.append(Resource(CLIENT, _client(role, settings)))
    if role != "admin" and _trusts_admin(role, registry, settings):
        resources.append(Resource(None, follow_revocations))
    if settings.audit.enabled and role != "admin":
        resources.append(Resource(None, _shipping(settings)))
    return build_app(ROLES[role], resources, settings=settings)


def plugin_sections(
    role: RoleName, registry: Registry, settings: Settings
) -> list[tuple[web.AppKey[Any], Kind[Any], PluginSection]]:
    """What a role is configured with, in the order of opening: key, kind, section."""
    auth = _with_own_issuer(role, registry, settings)
    cache = (CACHE, kinds.CACHE, settings.cache)
    database = (DATABASE, kinds.METADATA, settings.metadata)
    by_role: dict[RoleName, list[tuple[web.AppKey[Any], Kind[Any], PluginSection]]] = {
        "admin": [cache, database],
        "element": [
            cache,
            (STORAGE, kinds.STORAGE, settings.storage),
            (CATALOG, kinds.METADATA, settings.catalog),
        ],
        "ingester": [cache],
        "query": [cache, database],
    }
    return [*by_role[role], (AUTHENTICATOR, kinds.AUTH, auth)]


def _with_own_issuer(role: RoleName, registry: Registry, settings: Settings) -> PluginSection:
    """``[auth]``, pointing at our own issuer where it has such options and does not name another."""
    own = {
        "issuer": settings.issuer_url(),
        "audience": settings.audience,
        "resource": settings.url(role),
    }
    options = registry.provider(kinds.AUTH, settings.auth.type).config.model_fields
    known = {name: value for name, value in own.items() if name in options}
    return PluginSection.model_validate({"type": settings.auth.type, **known, **settings.auth.options})


def _trusts_admin(role: RoleName, registry: Registry, settings: Settings) -> bool:
    """Whether tokens come from our own admin: another issuer revokes its tokens itself."""
    return _with_own_issuer(role, registry, settings).options.get("issuer") == settings.issuer_url()


def _plugin(registry: Registry, kind: Kind[T], section: PluginSection, settings: Settings) -> Open:
    def opened(app: web.Application) -> AbstractAsyncContextManager[T]:
        return registry.open(
            kind,
            section,
            secrets=app[SECRETS],
            metrics=app[METRICS],
            client_ssl_context=app[TLS].client_ssl_context,
            add_check=partial(app[HEALTH].add, required=False),
            look_interval=settings.secrets_reload_interval,
        )

    return opened


def _tls(app: web.Application) -> AbstractAsyncContextManager[None]:
    return app[TLS].open(app[SECRETS].require_bytes)


def _client(role: RoleName, settings: Settings) -> Open:
    def opened(app: web.Application) -> AbstractAsyncContextManager[RoleClient]:
        return open_role_client(
            token_url=f"{settings.url('admin')}/api/v1/auth/token",
            credentials=lambda: role_credentials(role, app[SECRETS]),
            tls=app[TLS],
            registry=app[METRICS].registry,
            reach=_reach(settings),
        )

    return opened


def _trail(role: RoleName, settings: Settings) -> Open:
    directory = settings.base_directory / settings.audit.spool

    def opened(app: web.Application) -> AbstractAsyncContextManager[AuditTrail]:
        return open_trail(
            directory, role=role, limit=settings.audit.spool_size, registry=app[METRICS].registry
        )

    return opened


def _shipping(settings: Settings) -> Open:
    """Every role but admin, whose log it is, hands its records to admin."""

    @asynccontextmanager
    async def opened(app: web.Application) -> AsyncGenerator[None, None]:
        async with shipping(app[AUDIT], AdminDelivery(app[CLIENT], settings.url("admin"))) as shipper:
            app[HEALTH].add("audit", shipper.check, required=False)
            yield

    return opened


def _reach(settings: Settings) -> Reach:
    urls = [*map(settings.url, ROLES), *settings.element_urls()]
    return Reach(frozenset(map(origin_of, urls)), settings.element_networks())


async def role_credentials(role: RoleName, secrets: SecretsChain) -> ClientCredentials:
    """With which ``role`` calls others.

    Raises:
        UnavailableError: they are not there yet, or cannot be used. Why is told to the operator; whoever
            calls the role need not know where its secrets are.
    """
    name = f"client-{role}"
    try:
        if (value := await secrets.get(name)) is not None:
            return ClientCredentials.parse(value.text())
    except (ValueError, ArtStoreError, ConfigurationError) as error:
        _log.error("credentials_unusable", secret=name, reason=str(error))
        raise UnavailableError("our own credentials cannot be used") from error
    raise UnavailableError(f"secret {name} is not there yet; admin makes it at its first start")

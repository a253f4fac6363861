"""Builds a role's application: a value, made in one place, with every resource on one exit stack."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from artstore.core.config import RoleName, Settings
from artstore.core.http.auditing import audit
from artstore.core.http.bodies import leave_client_waiting
from artstore.core.http.client_certificates import check_client_certificate, rules_by_route
from artstore.core.http.connections import Connections
from artstore.core.http.cors import warn_of_wildcards
from artstore.core.http.health import Health, Liveness, Readiness
from artstore.core.http.middlewares import (
    add_common_headers,
    answer_preflight,
    authenticate,
    count_running,
    identify_request,
    log_access,
    measure,
    render_problems,
)
from artstore.core.http.openapi import openapi_document
from artstore.core.http.operations import (
    MAX_JSON_SIZE,
    STALL_TIMEOUT,
    Answer,
    Endpoint,
    Operation,
    json_response,
)
from artstore.core.http.rates import RateLimiter
from artstore.core.http.running import RunningRequests
from artstore.core.http.security_headers import security_headers
from artstore.core.keys import (
    CACHE,
    CLIENT_NAME_RULES,
    CONNECTIONS,
    ENDPOINTS,
    HEALTH,
    METRICS,
    RATES,
    REVOCATIONS,
    ROLE_NAME,
    RUNNING,
    SECURITY_HEADERS,
    SETTINGS,
    STOPPING,
    TLS,
)
from artstore.core.metrics import Metrics
from artstore.core.revocation import RevocationList
from artstore.core.tls.endpoint import TlsEndpoint
from artstore.core.tls.metrics import TlsMetrics

Open = Callable[[web.Application], AbstractAsyncContextManager[Any]]
"""Makes the context that holds a resource open; earlier resources are already in the application."""

MIDDLEWARES: Final = (
    count_running,
    identify_request,
    log_access,
    measure,
    render_problems,
    answer_preflight,
    audit,
    check_client_certificate,
    authenticate,
)


@dataclass(frozen=True, slots=True)
class Resource:
    """Something an application holds open while it runs, kept under ``key`` (``None``: only held)."""

    key: web.AppKey[Any] | None
    open: Open


@dataclass(frozen=True, slots=True)
class Role:
    """What makes a role: its operations, and the resources it makes itself from those it is given."""

    name: RoleName
    title: str
    operations: Sequence[Operation]
    resources: Sequence[Resource] = ()


def build_app(role: Role, resources: Sequence[Resource], *, settings: Settings) -> web.Application:
    """The application of ``role``. ``resources`` are opened in order, before the role's own."""
    app = web.Application(middlewares=MIDDLEWARES)
    metrics = Metrics(role=role.name)
    app[ROLE_NAME] = role.name
    app[SETTINGS] = settings
    app[STOPPING] = asyncio.Event()
    app[RUNNING] = running = RunningRequests()
    app[METRICS] = metrics
    metrics.http.watch(lambda: running.number)
    app[REVOCATIONS] = RevocationList()
    app[HEALTH] = Health(service=role.name, dependency_up=metrics.dependency_up)
    app[CONNECTIONS] = Connections(
        settings.server.connections,
        trusted=settings.server.trusted_proxies,
        active=metrics.connections_active,
        refused=metrics.connections_refused,
    )
    app[SECURITY_HEADERS] = security_headers(url=settings.url(role.name))
    app[STALL_TIMEOUT] = settings.server.stall_timeout
    app[MAX_JSON_SIZE] = settings.server.max_json_size
    app[ENDPOINTS] = _add_routes(app, [*role.operations, *_common_operations(role, settings)])
    warn_of_wildcards(settings.server.cors)
    app[TLS] = TlsEndpoint(
        settings.tls,
        role=role.name,
        base_directory=settings.base_directory,
        metrics=TlsMetrics(metrics.registry),
    )
    app[CLIENT_NAME_RULES] = rules_by_route(settings.tls.client_names.of(role.name), app[ENDPOINTS])
    app.on_response_prepare.append(add_common_headers)
    app.cleanup_ctx.append(_open_resources([*resources, Resource(RATES, _open_rates), *role.resources]))
    return app


@asynccontextmanager
async def _open_rates(app: web.Application) -> AsyncGenerator[RateLimiter, None]:
    yield RateLimiter(app.get(CACHE), app[METRICS].rate_limit_rejections)


def _open_resources(resources: Sequence[Resource]) -> Callable[[web.Application], AsyncGenerator[None, None]]:
    async def opened(app: web.Application) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            for resource in resources:
                value = await stack.enter_async_context(resource.open(app))
                if resource.key is not None:
                    app[resource.key] = value
            yield

    return opened


def _add_routes(app: web.Application, operations: Sequence[Operation]) -> dict[web.AbstractRoute, Endpoint]:
    endpoints: dict[web.AbstractRoute, Endpoint] = {}
    for operation in operations:
        endpoint = Endpoint(operation)
        route = app.router.add_route(
            operation.method, operation.path, endpoint.serve, expect_handler=leave_client_waiting
        )
        endpoints[route] = endpoint
    return endpoints


def _common_operations(role: Role, settings: Settings) -> list[Operation]:
    text = Answer("Prometheus text format.", {"text/plain": None})
    can_work = Answer("The role can do its work.", {"application/json": Readiness})
    not_ready = Answer("Something this role needs is missing.", {"application/json": Readiness})
    return [
        Operation("GET", "/health/live", live, public=True),
        Operation("GET", "/health/ready", ready, public=True, answers={200: can_work, 503: not_ready}),
        Operation("GET", "/metrics", metrics_text, public=True, answers={200: text}),
        Operation(
            "GET", "/api/v1/openapi.json", _openapi(role, settings), public=True, answers={200: _ANY_JSON}
        ),
    ]


_ANY_JSON: Final = Answer("The OpenAPI 3.1 document.", {"application/json": None})


async def live(request: web.Request) -> Liveness:
    """Whether the process answers."""
    return request.app[HEALTH].live()


async def ready(request: web.Request) -> Readiness | web.Response:
    """Whether the role can do its work."""
    readiness = await request.app[HEALTH].ready()
    return json_response(readiness, status=503 if readiness.status == "fail" else 200)


async def metrics_text(request: web.Request) -> web.Response:
    """Metrics in the Prometheus text format."""
    return web.Response(
        body=generate_latest(request.app[METRICS].registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


def _openapi(role: Role, settings: Settings) -> Callable[[web.Request], Any]:
    async def openapi(request: web.Request) -> web.Response:
        """The OpenAPI document of this role."""
        document = openapi_document(
            title=role.title,
            token_url=f"{settings.issuer_url()}/api/v1/auth/token",
            endpoints=request.app[ENDPOINTS].values(),
        )
        return web.json_response(document)

    return openapi

"""The page of the HTTP API: every operation of every role."""

from collections.abc import Iterator
from typing import Any, Final

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import Settings
from artstore.core.http.openapi import openapi_document
from artstore.core.keys import ENDPOINTS
from docs.generator.markdown import codes, table

INTRODUCTION: Final = """\
What each role serves. Its OpenAPI 3.1 document, `GET /api/v1/openapi.json`, has the fields of requests and
answers. Every operation answers errors as [problem documents](errors.md); `X-Request-ID` is accepted, echoed
and logged; `Artstore-Deadline`, the seconds for which the client waits, limits what a role waits for others.
A token comes from `POST /api/v1/auth/token` and is sent as `Authorization: Bearer`; [scopes](scopes.md) say
what it permits."""


def page() -> Iterator[str]:
    """A table for every role, from its OpenAPI document."""
    yield "# HTTP API"
    yield INTRODUCTION
    for name, role in ROLES.items():
        app = make_app(name, Settings())
        document = openapi_document(title=role.title, token_url="", endpoints=app[ENDPOINTS].values())
        yield f"## {name}"
        yield table(("operation", "scope", "what it does", "statuses"), _rows(document["paths"]))


def _rows(paths: dict[str, dict[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str, str]]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield (
                f"`{method.upper()} {path}`",
                _scope(operation["security"]),
                operation["summary"],
                " ".join(sorted(operation["responses"])),
            )


def _scope(security: list[dict[str, list[str]]]) -> str:
    return (codes(security[0]["oauth2"]) or "any token") if security else "public"

"""What holds for every operation of every role."""

from typing import Final

import pytest

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import RoleName, Settings
from artstore.core.http.openapi import openapi_document
from artstore.core.keys import ENDPOINTS
from artstore.core.scopes import SCOPES

FOR_EVERY_PRINCIPAL: Final = {"GET /api/v1/endpoints"}
"""What whoever has any token may call, be it without a single scope."""


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_documents_how_it_succeeds(role: RoleName) -> None:
    endpoints = make_app(role, Settings())[ENDPOINTS].values()

    document = openapi_document(title=role, token_url="", endpoints=endpoints)

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert any(status.startswith("2") for status in operation["responses"]), (method, path)


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_says_who_may_call_it(role: RoleName) -> None:
    for endpoint in make_app(role, Settings())[ENDPOINTS].values():
        operation = endpoint.operation
        is_restricted = bool(operation.scope or operation.principal_kind)
        for_everybody = f"{operation.method} {operation.path}" in FOR_EVERY_PRINCIPAL

        assert [operation.public, is_restricted, for_everybody].count(True) == 1, operation


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_has_a_summary_and_a_scope_that_exists(role: RoleName) -> None:
    for endpoint in make_app(role, Settings())[ENDPOINTS].values():
        assert endpoint.summary, endpoint.operation
        assert endpoint.operation.scope is None or endpoint.operation.scope in SCOPES, endpoint.operation

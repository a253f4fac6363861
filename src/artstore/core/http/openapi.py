"""OpenAPI 3.1, generated from the operations and the very models that validate."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from artstore import __version__
from artstore.core.http.operations import JSON, Endpoint
from artstore.core.http.problems import CONTENT_TYPE, PROBLEM_TYPES, Problem
from artstore.core.modes import allowed_in
from artstore.core.spec import (
    ArtStoreError,
    ContentTooLargeError,
    ForbiddenError,
    IncompleteBodyError,
    InvalidRequestError,
    ModeNotAllowedError,
    RequestTimeoutError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)

_REF: Final = "#/components/schemas/{model}"


def openapi_document(*, title: str, token_url: str, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of one role."""
    served = list(endpoints)
    schemas = _Schemas(served)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in served:
        operation = endpoint.operation
        path = openapi_path(operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas.definitions, "securitySchemes": _security(token_url, served)},
    }


def openapi_path(path: str) -> str:
    """The path of an operation, without the patterns of its variables."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


class _Schemas:
    """JSON Schemas of all models, shared under ``components``."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
        for endpoint in endpoints:
            operation = endpoint.operation
            answers = [model for answer in operation.answers.values() for model in answer.content.values()]
            for model in (endpoint.body_model, *operation.request_content.values()):
                if model is not None:
                    wanted[(model, "validation")] = None
            for model in (endpoint.answer_model, *answers):
                if model is not None:
                    wanted[(model, "serialization")] = None
        self._references, document = models_json_schema(list(wanted), ref_template=_REF)
        self.definitions: dict[str, Any] = document.get("$defs", {})

    def reference(self, model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        return self._references[(model, mode)]


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    operation = endpoint.operation
    document: dict[str, Any] = {
        "operationId": f"{operation.name}_{operation.method.lower()}",
        "summary": endpoint.summary,
        "parameters": [*_parameters(endpoint), *_headers(operation.request_headers)],
        "responses": _responses(endpoint, schemas),
        "security": [] if operation.public else [{"oauth2": [operation.scope] if operation.scope else []}],
    }
    if description := "\n\n".join(_description(endpoint)):
        document["description"] = description
    content = {media: model for media, model in operation.request_content.items()}
    if endpoint.body_model is not None:
        content[JSON] = endpoint.body_model
    if content:
        document["requestBody"] = {
            "required": True,
            "content": {media: _media(model, schemas, "validation") for media, model in content.items()},
        }
    return document


def _description(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.description:
        yield endpoint.description
    if (operation := endpoint.operation.allowed_as) is not None:
        allowed = ", ".join(f"`{mode}`" for mode in allowed_in(operation))
        yield f"Storage elements allow it (`{operation}`) in mode {allowed}."


def _media(model: type[BaseModel] | None, schemas: _Schemas, mode: JsonSchemaMode) -> dict[str, Any]:
    return {"schema": schemas.reference(model, mode)} if model is not None else {}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in schema.get("required", ()),
            "schema": _without_null(dict(definition)),
            **({"description": definition["description"]} if "description" in definition else {}),
        }
        for place, model in (("path", endpoint.path_model), ("query", endpoint.query_model))
        if model is not None
        for schema in [model.model_json_schema()]
        for name, definition in schema.get("properties", {}).items()
    ]


def _headers(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter is left out; it is never the text "null"."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if not options:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**options[0], **rest} if len(options) == 1 else {**rest, "anyOf": options}


def _responses(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    operation = endpoint.operation
    responses: dict[str, Any] = {}
    if endpoint.answer_model is not None:
        content = {JSON: _media(endpoint.answer_model, schemas, "serialization")}
        responses[str(operation.status)] = {"description": "Success.", "content": content}
    elif not operation.answers:
        responses["204"] = {"description": "Success, nothing to say."}
    for status, answer in operation.answers.items():
        responses[str(status)] = {
            "description": answer.description,
            "content": {
                media: _media(model, schemas, "serialization") for media, model in answer.content.items()
            },
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in answer.headers.items()
            },
        }
    for status, errors in sorted(_errors_by_status(endpoint).items()):
        content = responses.setdefault(str(status), {"description": "", "content": {}})
        content["description"] = " ".join([content["description"], *errors]).strip()
        content.setdefault("content", {})[CONTENT_TYPE] = _media(Problem, schemas, "serialization")
    return responses


def _errors_by_status(endpoint: Endpoint) -> dict[int, list[str]]:
    errors: list[type[ArtStoreError]] = [ArtStoreError, *endpoint.operation.problems]
    if not endpoint.operation.public:
        errors += [UnauthenticatedError, ForbiddenError, UnavailableError]
    if not endpoint.operation.public or endpoint.operation.takes_credentials:
        errors.append(TooManyRequestsError)
    if endpoint.path_model or endpoint.query_model or endpoint.body_model:
        errors += [InvalidRequestError]
    if endpoint.body_model:
        errors += [ContentTooLargeError, IncompleteBodyError, RequestTimeoutError]
    if endpoint.operation.allowed_as is not None:
        errors += [ModeNotAllowedError]
    found: dict[int, list[str]] = {}
    for error in dict.fromkeys(errors):
        found.setdefault(PROBLEM_TYPES[error].status, []).append(f"`{error.code}`")
    if endpoint.body_model or endpoint.operation.request_content:
        found.setdefault(415, []).append("`unsupported-media-type`")
    return found


def _security(token_url: str, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    scopes = sorted({e.operation.scope for e in endpoints if e.operation.scope is not None})
    flow = {"tokenUrl": token_url, "scopes": dict.fromkeys(scopes, "")}
    return {"oauth2": {"type": "oauth2", "flows": {"clientCredentials": flow}}}

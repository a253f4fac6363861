"""An operation of the API: its route, what it takes, what it gives, and who may call it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from artstore.core.http.bodies import ask_for_body, guarded_body
from artstore.core.modes import Operation as ModeOperation
from artstore.core.spec import ArtStoreError, InvalidRequestError, PrincipalKind
from artstore.core.validation import from_request, invalid_request

Handler = Callable[..., Awaitable[BaseModel | web.StreamResponse | None]]
M = TypeVar("M", bound=BaseModel)

JSON: Final = "application/json"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_JSON_SIZE: Final = web.AppKey("max_json_size", int)
STALL_TIMEOUT: Final = web.AppKey("stall_timeout", float)


@dataclass(frozen=True, slots=True)
class Answer:
    """A documented answer that is not the handler's model: another status, or another content."""

    description: str
    content: Mapping[str, type[BaseModel] | None] = field(default_factory=dict[str, type[BaseModel] | None])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    The handler's annotations say what is taken: parameters named ``path``, ``query`` and ``body`` are
    pydantic models that are validated before it is called, and from which OpenAPI is generated; an
    annotated model that it returns is the answer. The first paragraph of its docstring is the summary.

    Args:
        scope: The scope the principal must have; ``None`` admits every authenticated principal.
        principal_kind: Only principals of this kind are let through.
        public: Nobody needs to authenticate.
        status: Status of the successful answer.
        problems: Errors it can answer with, beyond those its inputs and protection imply.
        answers: Further answers by status.
        request_content: Media types of a body that the handler reads itself.
        request_headers: Request headers it honours, with a description each.
        allowed_as: What it is in the table of modes: in a mode without it, it is answered with 409.
        streams_body: The handler asks for the body when it wants it (:mod:`artstore.core.http.bodies`).
        is_safe: It changes nothing worth a record of its own in the audit trail, be its method what it may.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None = None
    principal_kind: PrincipalKind | None = None
    public: bool = False
    status: int = 200
    problems: Sequence[type[ArtStoreError]] = ()
    answers: Mapping[int, Answer] = field(default_factory=dict[int, Answer])
    request_content: Mapping[str, type[BaseModel] | None] = field(
        default_factory=dict[str, type[BaseModel] | None]
    )
    request_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    allowed_as: ModeOperation | None = None
    streams_body: bool = False
    is_safe: bool = False

    @property
    def name(self) -> str:
        """What the audit trail and OpenAPI call it."""
        return str(getattr(self.handler, "__name__", self.path))

    @property
    def is_change(self) -> bool:
        """Whether it may change something (RFC 9110 section 9.2.1, unless it says otherwise)."""
        return self.method not in SAFE_METHODS and not self.is_safe

    @property
    def is_audited(self) -> bool:
        """Whether its requests are decided about, or change something."""
        return self.is_change or self.takes_credentials or not self.public

    @property
    def takes_credentials(self) -> bool:
        """Whether it is for those who have no token yet: what they send is dear to check."""
        return self.public and self.method == "POST"


class Endpoint:
    """An operation, ready to be served."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        hints = get_type_hints(operation.handler)
        self.path_model = _model(hints.get("path"))
        self.query_model = _model(hints.get("query"))
        self.body_model = _model(hints.get("body"))
        self.answer_model = _model(hints.get("return"))
        self.summary, _, self.description = (inspect.getdoc(operation.handler) or "").partition("\n\n")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Validate what the request brings, call the handler, render what it gives."""
        if not self.operation.streams_body:
            await ask_for_body(request)
        arguments: dict[str, BaseModel] = {}
        if self.path_model is not None:
            arguments["path"] = _validated(self.path_model, dict(request.match_info))
        if self.query_model is not None:
            arguments["query"] = _validated(self.query_model, _query(request, self.query_model))
        if self.body_model is not None:
            arguments["body"] = await read_json(request, self.body_model)
        result = await self.operation.handler(request, **arguments)
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return json_response(result, status=self.operation.status)


def json_response(
    model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``model`` as JSON; absent optional fields are left out."""
    return web.Response(
        status=status,
        body=model.model_dump_json(exclude_none=True).encode(),
        headers=headers,
        content_type=JSON,
        charset=None,
    )


async def read_json(request: web.Request, model: type[M]) -> M:
    """The request's body as ``model``, strictly: JSON types are not converted into each other.

    Raises:
        InvalidRequestError: not JSON, or not what the model allows, or a name is in one object twice.
        ContentTooLargeError: longer than the limit for JSON bodies.
        RequestTimeoutError, IncompleteBodyError: it stops coming, or comes too slowly.
    """
    if request.content_type != JSON:
        raise web.HTTPUnsupportedMediaType
    chunks = guarded_body(request, limit=request.app[MAX_JSON_SIZE], stall_timeout=request.app[STALL_TIMEOUT])
    raw = b"".join([chunk async for chunk in chunks])
    return from_request(model, raw, strict=True)


def _model(hint: Any) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


def _validated(model: type[M], values: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error, model) from None


def _query(request: web.Request, model: type[BaseModel]) -> dict[str, Any]:
    """Single values as text, list fields as lists."""
    values: dict[str, Any] = {}
    for name in request.query:
        field_info = model.model_fields.get(name)
        found = request.query.getall(name)
        if field_info is not None and _is_list(field_info.annotation):
            values[name] = found
        elif len(found) > 1:
            raise InvalidRequestError(
                f"query parameter {name} is given more than once", [(name, "give it once")]
            )
        else:
            values[name] = found[0]
    return values


def _is_list(annotation: Any) -> bool:
    return any(part in str(annotation) for part in ("list[", "tuple[", "set["))

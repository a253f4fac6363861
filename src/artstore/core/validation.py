"""Tells what is wrong with a request: what pydantic found, as pairs of a path and what to change there."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artstore.core.spec import InvalidRequestError

M = TypeVar("M", bound=BaseModel)

MAX_FAULTS: Final = 20
"""Faults told at once: who sends thousands of unknown fields gets a short answer."""

MAX_NAME_LENGTH: Final = 100
"""Names of fields come from the client: characters of one that are repeated to it."""

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_unicode": "contains a lone surrogate, which is not a character: send valid UTF-8",
    # Of pydantic's messages for these, one is about Python, not about TOML or JSON.
    "tuple_type": "should be a list",
    "model_type": "should be a set of named values",
    # The others repeat parts of the input.
    "uuid_parsing": "should be a UUID",
    "union_tag_invalid": "should have one of the documented types",
}


_SUBJECT: Final = re.compile(r"^\w+ should\b")
"""``Input should …``, ``String should …``: the path is the subject here."""


def check_printable(text: str) -> str:
    """For what people read in lists and on terminals, where other characters pretend or command."""
    if not text.isprintable():
        raise ValueError("contains a character that cannot be printed: remove it")
    return text


def from_request(model: type[M], raw: bytes, *, strict: bool | None = None) -> M:
    """What somebody sent as JSON.

    Raises:
        InvalidRequestError: it is not JSON, or not what the model allows, or gives something twice.
    """
    try:
        found = model.model_validate_json(raw, strict=strict)
    except ValidationError as error:
        raise invalid_request(error, model) from None
    require_unique_names(raw.decode())
    return found


def require_unique_names(document: str) -> None:
    """Whoever looked at the JSON before us may have taken the other value (RFC 8259 section 4).

    Raises:
        InvalidRequestError: a name is in one object twice.
    """
    if (name := repeated_name(document)) is not None:
        path, message = _printable(name), "is there twice in one object"
        raise InvalidRequestError(f"{path}: {message}", [(path, message)])


def repeated_name(document: str) -> str | None:
    """A name that an object in ``document``, which is JSON, has more than once."""
    try:
        _NAMES.decode(document)
    except _RepeatedNameError as error:
        return error.name
    return None


def invalid_request(error: ValidationError, model: type[BaseModel] | None = None) -> InvalidRequestError:
    """The domain error for ``error``; with ``model``, unknown fields are told the nearest known name."""
    faults = describe(error, model)
    return InvalidRequestError(one_line(faults), faults)


def one_line(faults: Sequence[tuple[str, str]]) -> str:
    """What :func:`describe` has found, for a person."""
    return "; ".join(f"{path}: {message}" if path else message for path, message in faults)


def describe(error: ValidationError, model: type[BaseModel] | None = None) -> list[tuple[str, str]]:
    """The first faults as ``(path, message)``, the path dotted. No value that was sent is repeated."""
    faults = error.errors(include_url=False, include_input=False)[:MAX_FAULTS]
    return [(_path(fault["loc"]), _message(fault, model)) for fault in faults]


def _path(location: Sequence[int | str]) -> str:
    return ".".join(_printable(str(part)) for part in location)


def _printable(name: str) -> str:
    cut = name[:MAX_NAME_LENGTH]
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def _message(fault: ErrorDetails, model: type[BaseModel] | None) -> str:
    kind = fault["type"]
    context: Mapping[str, Any] = fault.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(fault["loc"], model)
    if kind == "value_error":
        return str(context["error"])
    return _MESSAGES.get(kind) or _SUBJECT.sub("should", fault["msg"])


def _unknown(location: Sequence[int | str], model: type[BaseModel] | None) -> str:
    known = _names(model, location[:-1])
    name = str(location[-1])[:MAX_NAME_LENGTH]
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"is unknown; did you mean {nearest[0]}?" if nearest else "is unknown"


def _names(model: type[BaseModel] | None, location: Sequence[int | str]) -> list[str]:
    """Names that the object at ``location`` below ``model`` may have; none where it is not a model."""
    for part in location:
        if model is not None and isinstance(part, str):
            field = model.model_fields.get(part)
            model = _model_in(field.annotation) if field else None
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in ``M``, ``M | None``, ``list[M]`` …"""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)


class _RepeatedNameError(Exception):
    def __init__(self, members: Sequence[tuple[str, None]]) -> None:
        counted = Counter(name for name, _ in members)
        self.name, _ = counted.most_common(1)[0]
        super().__init__(self.name)


def _require_unique(members: list[tuple[str, None]]) -> None:
    if len(dict(members)) < len(members):
        raise _RepeatedNameError(members)


_NAMES: Final = json.JSONDecoder(object_pairs_hook=_require_unique, parse_int=str, parse_float=str)
"""Keeps nothing of what it reads. Numbers of thousands of digits are left as they are."""

"""What people type, as the models that the roles take."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from artstore.core.spec import ConfigurationError
from artstore.core.validation import invalid_request

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], values: dict[str, Any]) -> M:
    """``model`` of ``values``. Not strictly: what people type are digits, not numbers.

    Raises:
        ConfigurationError: one line that names what to change.
    """
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        raise ConfigurationError(invalid_request(error, model).detail) from None


def attributes(texts: list[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` texts as custom attributes.

    Raises:
        ConfigurationError: one is not of that form.
    """
    return dict(_attribute(text) for text in texts or [])


def _attribute(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise ConfigurationError(f"--attribute {text!r} is not of the form NAME=VALUE")
    return name, value

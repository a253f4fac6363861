"""What people send to log in, and to stay so."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

LONGEST: Final = 128
"""Characters of a password: more add nothing, and every one is work for whoever checks it."""
HIDDEN: Final[dict[str, JsonValue]] = {"format": "password"}
"""Tells whoever makes a form of the OpenAPI document."""

TypedPassword = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]


class Login(BaseModel):
    """Who somebody says they are, and what they prove it with."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[TypedPassword, Field(repr=False, json_schema_extra=HIDDEN)]


class PasswordChange(Login):
    """Another password in place of ``password``."""

    new_password: Annotated[TypedPassword, Field(repr=False, json_schema_extra=HIDDEN)]


class Refresh(BaseModel):
    """A refresh token, which is good once."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    refresh_token: Annotated[str, Field(min_length=1, max_length=8192, repr=False)]

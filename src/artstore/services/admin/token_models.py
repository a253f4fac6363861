"""Tokens as answers describe them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class IssuedToken(BaseModel):
    """An access token (RFC 6749 section 5.1)."""

    access_token: Annotated[str, Field(repr=False)]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="Seconds.")]
    scope: Annotated[str, Field(description="What the token permits, separated by spaces.")]
    issued_at: datetime


class PersonToken(IssuedToken):
    """An access token, and what to get the next one with."""

    refresh_token: Annotated[str, Field(repr=False, description="Good once.")]
    refresh_expires_in: Annotated[int, Field(description="Seconds.")]
    password_expires_at: datetime | None = None
    password_expires_soon: Annotated[bool, Field(description="It is time to change the password.")] = False

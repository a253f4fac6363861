"""People as requests and answers describe them."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from artstore.core.attribute_fields import Text
from artstore.core.scopes import PersonRole
from artstore.core.validation import check_printable
from artstore.services.admin.login_models import HIDDEN, TypedPassword
from artstore.services.admin.paging import Paging

Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$"),
    Field(description="3 to 100 letters, digits, dots, underscores and hyphens; case does not matter."),
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$"),
    AfterValidator(check_printable),
]


class NewPerson(BaseModel):
    """Somebody who may log in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    username: Username
    email: Email | None = None
    role: PersonRole = "readonly"
    password: Annotated[
        TypedPassword | None,
        Field(repr=False, description="Default: one is made, and shown this once.", json_schema_extra=HIDDEN),
    ] = None


class PersonChange(BaseModel):
    """What is to be true of a person; what is absent is removed or as for a new one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    email: Email | None = None
    role: PersonRole
    enabled: bool


class PasswordReset(BaseModel):
    """Another password for somebody else, who changes it at the next login."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    new_password: Annotated[
        TypedPassword | None,
        Field(repr=False, description="Default: one is made, and shown this once.", json_schema_extra=HIDDEN),
    ] = None


class PersonQuery(Paging):
    """Which people to list."""

    role: PersonRole | None = None
    enabled: bool | None = None
    search: Annotated[
        Text | None, Field(min_length=1, max_length=100, description="Part of a username or address.")
    ] = None


class PersonView(BaseModel):
    """A person without their password."""

    id: uuid.UUID
    username: str
    email: str | None = None
    role: str
    scopes: Annotated[list[str], Field(description="Everything they may do.")]
    enabled: bool
    must_change_password: Annotated[bool, Field(description="Before anything else.")]
    password_changed_at: datetime
    password_expires_at: datetime | None = None
    password_expires_soon: bool
    locked_until: Annotated[
        datetime | None, Field(description="Some place is locked out after too many wrong passwords.")
    ] = None
    last_login_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: Annotated[int, Field(description="Grows with every change; the ETag.")]


class PersonWithPassword(PersonView):
    """A person and the password that was made for them, which is shown this once."""

    password: Annotated[str | None, Field(repr=False, description="Absent when it was not made here.")] = None


class PersonPage(BaseModel):
    """A slice of the people, by username."""

    items: list[PersonView]
    total: int
    limit: int
    offset: int
    has_more: bool

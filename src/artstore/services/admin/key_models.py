"""Signing keys as answers describe them."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

KEYS_PATH: Final = "/api/v1/jwt-keys"

KeyState = Literal["waiting", "signing", "verifying", "expired", "withdrawn"]


class KeyPath(BaseModel):
    """Which key: its thumbprint (RFC 7638)."""

    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class KeyView(BaseModel):
    """A signing key without its private half."""

    kid: str
    algorithm: str
    size: Annotated[int, Field(description="Bits.")]
    state: Annotated[
        KeyState,
        Field(
            description="`waiting`: published, does not sign yet; `signing`; `verifying`: signs no more, but "
            "what it signed holds; `expired`; `withdrawn`: what it signed is refused."
        ),
    ]
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None = None
    expires_at: datetime | None = None
    withdrawn_at: datetime | None = None


class KeyList(BaseModel):
    """Every key of the last 90 days, and all that were withdrawn, the newest first."""

    items: list[KeyView]


class KeyStatus(BaseModel):
    """Which key signs, and which one is next."""

    signing: KeyView
    waiting: KeyView | None = None
    published: Annotated[int, Field(description="How many keys verify tokens now.")]
    source: Annotated[
        Literal["generated", "provided"], Field(description="`provided`: by the operator, as a secret.")
    ]
    rotation_period: Annotated[float, Field(description="Seconds.")]
    next_rotation_at: Annotated[
        datetime | None, Field(description="When the next key signs; absent where keys are provided.")
    ] = None

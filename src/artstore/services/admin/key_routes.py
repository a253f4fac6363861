"""The operations on signing keys of the admin role."""

from datetime import datetime
from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.spec import UnsupportedError
from artstore.core.stores.keys import SigningKey
from artstore.services.admin.key_material import JsonWebKey
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.signing_keys import KeyState, state_of

KEYS_PATH: Final = "/api/v1/jwt-keys"


class KeyView(BaseModel):
    """A signing key without its private half."""

    kid: str
    algorithm: str
    size: Annotated[int, Field(description="Bits.")]
    state: Annotated[
        KeyState,
        Field(
            description="`waiting`: published, does not sign yet; `signing`; `verifying`: signs no more, but "
            "what it signed holds; `expired`."
        ),
    ]
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None = None
    expires_at: datetime | None = None


class KeyList(BaseModel):
    """Every key of the last 90 days, the newest first."""

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


async def list_keys(request: web.Request) -> KeyList:
    """The signing keys, past and next ones included."""
    return KeyList(items=[_view(row) for row in await request.app[ADMIN].keys_store.list()])


async def get_key_status(request: web.Request) -> KeyStatus:
    """Which key signs, and when the next one will."""
    admin = request.app[ADMIN]
    signing = (await admin.signing_keys.current()).row
    newest = (await admin.keys_store.list())[0]
    waiting = newest if state_of(newest) == "waiting" else None
    is_provided = await admin.key_rotation.provided() is not None
    planned = None if is_provided else newest.signs_from + admin.key_rotation.period
    return KeyStatus(
        signing=_view(signing),
        waiting=_view(waiting) if waiting else None,
        published=len(admin.signing_keys.loaded),
        source="provided" if is_provided else "generated",
        rotation_period=admin.key_rotation.period.total_seconds(),
        next_rotation_at=waiting.signs_from if waiting else planned,
    )


async def rotate_keys(request: web.Request) -> web.Response:
    """Replace the signing key: the next one is published now, and signs when every verifier knows it.

    While a key waits already, that one is answered.
    """
    return json_response(_view(await request.app[ADMIN].key_rotation.rotate()), status=201)


def _view(row: SigningKey) -> KeyView:
    return KeyView(
        **row.model_dump(exclude={"public_jwk", "private_key_encrypted"}),
        size=JsonWebKey.model_validate_json(row.public_jwk).size,
        state=state_of(row),
    )


KEY_OPERATIONS: Final = (
    Operation("GET", KEYS_PATH, list_keys, scope="keys:read"),
    Operation("GET", f"{KEYS_PATH}/status", get_key_status, scope="keys:read"),
    Operation(
        "POST",
        f"{KEYS_PATH}/rotate",
        rotate_keys,
        scope="keys:write",
        answers={201: Answer("The key that signs next.", {JSON: KeyView})},
        problems=[UnsupportedError],
    ),
)

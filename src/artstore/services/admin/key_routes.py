"""The operations on signing keys of the admin role."""

from typing import Final

from aiohttp import web

from artstore.core.audit.notes import note
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.spec import NotFoundError, UnsupportedError
from artstore.core.stores.keys import SigningKey
from artstore.services.admin.key_material import JsonWebKey
from artstore.services.admin.key_models import KEYS_PATH, KeyList, KeyPath, KeyStatus, KeyView
from artstore.services.admin.key_rotation import newest_of
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.signing_keys import state_of


async def list_keys(request: web.Request) -> KeyList:
    """The signing keys, past and next ones included."""
    return KeyList(items=[_view(row) for row in await request.app[ADMIN].keys_store.list()])


async def get_key_status(request: web.Request) -> KeyStatus:
    """Which key signs, and when the next one will."""
    admin = request.app[ADMIN]
    signing = (await admin.signing_keys.current()).row
    newest = newest_of(await admin.keys_store.list())
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


async def withdraw_key(request: web.Request, path: KeyPath) -> KeyView:
    """Withdraw a signing key that others may have: every role refuses what it signed, at once.

    It leaves the published keys, and its private half is removed. If it signs, the key that waits signs in
    its place, or else one that is made. Applications are told 401 and ask for new tokens.
    """
    admin = request.app[ADMIN]
    note(kid=path.kid)
    await admin.key_rotation.withdraw(path.kid)
    await admin.revocations.look()
    return next(_view(row) for row in await admin.keys_store.list() if row.kid == path.kid)


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
    Operation(
        "POST",
        f"{KEYS_PATH}/{{kid}}/withdraw",
        withdraw_key,
        scope="keys:write",
        problems=[NotFoundError],
    ),
)

"""The operations on the audit log."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import MAX_INTEGER
from artstore.core.audit.entries import AuditPage, Delivery, SignedCheckpoint
from artstore.core.audit.verification import Verification
from artstore.core.http.operations import Answer, Operation
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import CorruptedError, NotFoundError
from artstore.services.admin.audit_log import AuditQuery
from artstore.services.admin.keys import AUDIT_LOG

JSON_LINES: Final = "application/jsonl"


class CheckpointQuery(BaseModel):
    """Which checkpoint."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    number: Annotated[int | None, Field(ge=1, le=MAX_INTEGER)] = None


class Received(BaseModel):
    """What came of a delivery."""

    added: int


async def list_audit_log(request: web.Request, query: AuditQuery) -> AuditPage:
    """Audit records, the newest first."""
    return await request.app[AUDIT_LOG].log.list(query)


async def verify_audit_log(request: web.Request) -> Verification:
    """Verify that every record is there and as it was; names the first that is not."""
    await request.app[AUDIT_LOG].log.catch_up()
    return await request.app[AUDIT_LOG].verification.verify()


async def export_audit_log(request: web.Request) -> web.StreamResponse:
    """The whole log as JSON lines, oldest first, for `artstore audit verify`."""
    response = web.StreamResponse(headers={"Content-Type": JSON_LINES, "Cache-Control": "no-store"})
    await response.prepare(request)
    async for lines in request.app[AUDIT_LOG].log.export():
        await response.write(lines)
    await response.write_eof()
    return response


async def get_checkpoint(request: web.Request, query: CheckpointQuery) -> SignedCheckpoint:
    """A signed checkpoint, the newest by default, and the key that verifies it."""
    audit = request.app[AUDIT_LOG]
    number = query.number
    if number is None:
        newest = await audit.checkpoints.newest()
        number = 0 if newest is None else newest.number
    checkpoint = await audit.checkpoints.get(number) if number else None
    return SignedCheckpoint(public_key=audit.public_key, checkpoint=checkpoint)


async def receive_audit_records(request: web.Request, body: Delivery) -> Received:
    """Put the records of another role into the log. Repeating it changes nothing."""
    added = await request.app[AUDIT_LOG].log.receive(body, request[PRINCIPAL])
    return Received(added=added)


_LOG: Final = "/api/v1/audit-log"

AUDIT_OPERATIONS: Final = (
    Operation("GET", _LOG, list_audit_log, scope="audit:read", problems=[CorruptedError]),
    Operation("GET", f"{_LOG}/verify", verify_audit_log, scope="audit:read"),
    Operation("GET", f"{_LOG}/checkpoint", get_checkpoint, scope="audit:read", problems=[NotFoundError]),
    Operation(
        "GET",
        f"{_LOG}/export",
        export_audit_log,
        scope="audit:read",
        answers={200: Answer("One record a line.", {JSON_LINES: None})},
    ),
    # Safe, for the trail: what it adds are records, and a record of each delivery would be delivered, too.
    Operation("POST", f"{_LOG}/records", receive_audit_records, scope="audit:write", is_safe=True),
)

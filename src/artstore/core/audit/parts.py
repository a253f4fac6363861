"""Records each of many things that one request changes, with its actor, or that a job changes by itself."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from artstore.core.audit.notes import present_request, taking_notes
from artstore.core.audit.record import Happening
from artstore.core.audit.trail import AuditTrail
from artstore.core.spec import ArtStoreError


@dataclass(slots=True)
class Part:
    """What is being done. Unless it ``is_done``, there is nothing to record."""

    is_done: bool = False


@asynccontextmanager
async def recording_part(
    trail: AuditTrail | None, event: str, *, resource: str, **detail: str | int
) -> AsyncGenerator[Part, None]:
    """Record what is done inside, once it is; on stable storage when the context ends.

    What is logged for it inside has its record as the cause, so that a kill does not prevent that.

    Raises:
        UnavailableError: no record could be kept now, so nothing may be changed.
    """
    part = Part()
    if trail is None:
        yield part
        return
    trail.spool.require_room()
    happening = _described(trail, event, resource, detail)
    with taking_notes(lambda _: happening) as notes:
        failure: ArtStoreError | None = None
        try:
            yield part
        except ArtStoreError as error:
            failure = error
        if part.is_done or (failure is not None and notes.cause is not None):
            said = {
                "outcome": "succeeded" if failure is None else "failed",
                "reason": None if failure is None else failure.code,
                "detail": detail | notes.detail,
                "change": None if notes.cause is None else notes.cause.change,
            }
            await trail.add(happening.model_copy(update=said))
            notes.pay()
    if failure is not None:
        raise failure


def _described(trail: AuditTrail, event: str, resource: str, detail: dict[str, str | int]) -> Happening:
    """As if it had succeeded."""
    happening = trail.event(event)
    asked = present_request()
    said: dict[str, object] = {"resource": resource, "detail": detail}
    if asked is not None:
        said |= {name: getattr(asked, name) for name in ("kind", "actor", "client_address", "request_id")}
    return happening.model_copy(update=said)

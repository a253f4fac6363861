"""What one record of the audit trail says, and its canonical form."""

from typing import Annotated, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from artstore.core.attribute_fields import MAX_INTEGER, Timestamp
from artstore.core.spec import Principal, PrincipalKind

Kind = Literal["authentication", "authorization", "sensitive_operation", "system_event"]
Outcome = Literal["allowed", "denied", "succeeded", "failed"]

MAX_TEXT: Final = 512
"""Characters: whatever a client sends, a record stays small."""
MAX_DETAILS: Final = 16

BROKEN_OFF: Final = "audit_log_broken_off"
"""Event of a log whose end is not sealed, or was further on before."""
PRUNED: Final = "audit_log_pruned"
"""Event of records that were removed after their time, behind a checkpoint."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""What canonical JSON can carry."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Actor(_Part):
    """Who sent a request, as the access token or the client's own credentials prove."""

    subject: Text
    client_id: Text
    kind: PrincipalKind

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(
            subject=bounded(principal.subject),
            client_id=bounded(principal.client_id),
            kind=principal.kind,
        )


class Happening(_Part):
    """What happened. Without ``actor`` nobody had proven who they are; a system event has none.

    ``resource`` is the path in its one spelling, percent-encoded and without its query; ``route`` the
    template that it matches. ``times`` is more than 1 in a record that stands for repetitions of an earlier
    one.
    """

    occurred_at: Timestamp
    kind: Kind
    event: Annotated[Text, Field(description="The operation, as OpenAPI names it, or the system event.")]
    outcome: Outcome
    role: Text
    actor: Actor | None = None
    client_address: Text | None = None
    request_id: Text | None = None
    method: Text | None = None
    route: Text | None = None
    resource: Text | None = None
    status: Annotated[int | None, Field(ge=100, le=599, description="Status of the HTTP answer.")] = None
    reason: Text | None = None
    times: Annotated[Integer, Field(ge=1, description="For how many equal requests it stands.")] = 1
    detail: Annotated[dict[Text, Text | Integer] | None, Field(max_length=MAX_DETAILS)] = None
    change: Annotated[Text | None, Field(description="Id that what was written for it has, too.")] = None

    def recorded(self, *, source: str, sequence: int) -> bytes:
        """The canonical JSON of its record, which need not be made and validated again for that."""
        said = self.model_dump(mode="json", exclude_none=True)
        return canonical({**said, "source": source, "sequence": sequence})


class AuditRecord(Happening):
    """What happened, with the process that noted it and the place it has among all that this one noted.

    ``reported_by`` is the service account that handed it to admin, as admin saw it.
    """

    source: Text
    sequence: Annotated[Integer, Field(ge=1)]
    reported_by: Text | None = None

    def canonical(self) -> bytes:
        """The JSON that is sealed: for texts and integers it is RFC 8785, as a test proves."""
        return canonical(self.model_dump(mode="json", exclude_none=True))


def told_pruned(record: AuditRecord) -> int:
    """Up to which position records are removed, as the log itself tells in ``record``; 0 if it does not.

    What another role reports cannot be about the log: it could excuse what is missing.
    """
    through = (record.detail or {}).get("through")
    is_told = record.event == PRUNED and record.reported_by is None and isinstance(through, int)
    return int(through or 0) if is_told else 0


def canonical(document: dict[str, object]) -> bytes:
    """RFC 8785 for ASCII names and values that are texts, integers, lists or objects of such."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def bounded(text: str) -> str:
    """At most :data:`MAX_TEXT` characters, none of which UTF-8 lacks."""
    return text[:MAX_TEXT].encode(errors="replace").decode()

"""Retention: the one place that says whether a file may be deleted, and what may become of its retention."""

from datetime import datetime
from typing import Final

from artstore.core.attribute_fields import format_timestamp
from artstore.core.attributes import FileAttributes, Hold, Retention
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    InvalidRequestError,
    NotFoundError,
    RetentionActiveError,
)

MAX_HOLDS: Final = 100
"""Holds of one file."""


def require_deletable(attributes: FileAttributes, *, now: datetime) -> None:
    """Refuse to delete a file that must be kept; every way to delete one asks here.

    Held files are kept. Permanent ones are kept until they expire, and for ever when they do not say when.

    Raises:
        RetentionActiveError: naming the holds, or until when the file is kept.
        BeingFinalizedError: it is on its way to become permanent.
    """
    require_at_rest(attributes, now=now)
    retention = attributes.retention
    if retention.holds:
        held = [hold.id for hold in retention.holds]
        raise RetentionActiveError(
            f"file {attributes.file_id} is held by {', '.join(held)}: release what holds it before",
            holds=held,
        )
    if retention.policy == "permanent" and not _is_over(retention, now):
        raise RetentionActiveError(
            f"file {attributes.file_id} is permanent: it is kept {_until(retention)}",
            until=retention.expires_at,
        )


def require_at_rest(attributes: FileAttributes, *, now: datetime) -> None:
    """Refuse to change a file while it is made permanent, lest the change is lost on the way.

    Raises:
        BeingFinalizedError: it is.
    """
    if is_being_finalized(attributes, now=now):
        raise BeingFinalizedError(attributes.file_id)


def is_being_finalized(attributes: FileAttributes, *, now: datetime) -> bool:
    """Whether a finalization has marked the file. A mark that is forgotten ends by itself."""
    finalization = attributes.retention.finalization
    return finalization is not None and finalization.until > now


def is_unfinished_copy(attributes: FileAttributes) -> bool:
    """Whether it has come from another element, which has the file until this copy is finished."""
    finalization = attributes.retention.finalization
    return finalization is not None and finalization.copy_of is not None


def require_no_unfinished_copy(attributes: FileAttributes) -> None:
    """Refuse to place or release a hold where it would be lost: the source's are those of the file.

    Raises:
        BeingFinalizedError: it is a copy that is not finished.
    """
    if is_unfinished_copy(attributes):
        raise BeingFinalizedError(attributes.file_id)


def is_expired(attributes: FileAttributes, *, now: datetime) -> bool:
    """Whether it may go without anybody asking: it is temporary, its time is over, nothing holds it, and
    nobody was promised that it becomes permanent.

    That a mark has ended says that its finalization is stuck, not that the file is safe elsewhere: the copy
    may be damaged, or its element away.
    """
    retention = attributes.retention
    may_go = not retention.holds and retention.finalization is None
    return retention.policy == "temporary" and may_go and _is_over(retention, now)


def extended(attributes: FileAttributes, expires_at: datetime | None) -> Retention:
    """The retention that ends at ``expires_at``, or never, which is not earlier than the present one does.

    Raises:
        RetentionActiveError: it would be shortened.
        InvalidRequestError: a temporary file must say when it expires.
    """
    retention = attributes.retention
    if expires_at is None and retention.policy == "temporary":
        message = "is required for a temporary file: finalize it to keep it for ever"
        raise InvalidRequestError(f"expires_at {message}", [("expires_at", message)])
    if expires_at is not None and (retention.expires_at is None or expires_at < retention.expires_at):
        raise RetentionActiveError(
            f"file {attributes.file_id} is kept {_until(retention)}: that can be extended, not shortened",
            until=retention.expires_at,
        )
    return retention.model_copy(update={"expires_at": expires_at})


def held(attributes: FileAttributes, hold: Hold) -> Retention | None:
    """The retention with one more hold; ``None`` when it has this one already.

    Raises:
        AlreadyExistsError: a hold with this id has another reason.
        InvalidRequestError: it has as many holds as a file can have.
    """
    holds = attributes.retention.holds
    for other in holds:
        if other.id == hold.id:
            if other.reason == hold.reason:
                return None
            raise AlreadyExistsError(f"hold {hold.id} is on the file for another reason: take another id")
    if len(holds) >= MAX_HOLDS:
        message = f"a file has at most {MAX_HOLDS} holds: release one before"
        raise InvalidRequestError(message, [("id", message)])
    return attributes.retention.model_copy(update={"holds": [*holds, hold]})


def released(attributes: FileAttributes, hold_id: str) -> Retention:
    """The retention without a hold.

    Raises:
        NotFoundError: there is no such hold.
    """
    left = [hold for hold in attributes.retention.holds if hold.id != hold_id]
    if len(left) == len(attributes.retention.holds):
        raise NotFoundError(f"file {attributes.file_id} has no hold {hold_id}")
    return attributes.retention.model_copy(update={"holds": left})


def _is_over(retention: Retention, now: datetime) -> bool:
    return retention.expires_at is not None and retention.expires_at <= now


def _until(retention: Retention) -> str:
    return "for ever" if retention.expires_at is None else f"until {format_timestamp(retention.expires_at)}"

"""Changes the mode of an element: first says what would happen, then, confirmed, does it."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from artstore.core import modes
from artstore.core.logging import get_logger
from artstore.core.modes import MODE_TABLE, MODES, Mode, allowed_operations, ended_by
from artstore.core.spec import InvalidRequestError, PreconditionFailedError, UnavailableError
from artstore.core.transitions import (
    ModePeriodView,
    ModeRuleView,
    ModeState,
    Transition,
    TransitionRequest,
)
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.identity import IDENTITY_KEY, ModePeriod
from artstore.services.storage_element.proposals import Proposal, digest

RETRY_AFTER: Final = 5.0
_audit: Final = get_logger("audit")


def describe(element: Element) -> ModeState:
    """The mode, how the element came to it, and where it can go."""
    history = element.identity.mode_history
    change = element.catalog.pending.get(None)
    return ModeState(
        element_id=element.element_id,
        mode=element.mode,
        since=history[-1].since,
        changing_to=None if change is None else change.mode,
        allowed_operations=list(allowed_operations(element.mode)),
        next_modes=list(MODE_TABLE[element.mode].next_modes),
        history=[ModePeriodView.model_validate(period.model_dump()) for period in history],
        modes=[_rule(mode) for mode in MODES],
    )


def propose(element: Element, order: TransitionRequest) -> Transition:
    """What a change would do, and the token that confirms it.

    Raises:
        ModeTransitionNotAllowedError: the table has no such edge.
    """
    from_mode, to_mode = element.mode, order.mode
    modes.check_transition(from_mode, to_mode, element_id=element.element_id)
    token, expires_at = element.proposals.add(from_mode=from_mode, to_mode=to_mode, reason=order.reason)
    plan = _transition(element, from_mode, to_mode)
    under_way = element.activity.count(plan.ended_operations)
    return plan.model_copy(
        update={
            "under_way": under_way,
            "pending": len(element.catalog.pending),
            "confirmation": token,
            "expires_at": expires_at,
        }
    )


async def confirm(element: Element, order: TransitionRequest, token: str, *, by: str) -> Transition:
    """Do what was proposed, or find that it is done.

    What the new mode does not allow is refused from the beginning; what of that is under way ends
    before the change, or, if it does not end in time, there is no change.

    Raises:
        PreconditionFailedError: nothing that can be confirmed has this token.
        InvalidRequestError: ``reopen`` is needed and missing.
        UnavailableError: what is under way, or was interrupted, has not ended: ask again.
        InsufficientStorageError: the disk is full; the mode is what it was.
    """
    async with element.locks[None]:
        if (leftover := element.catalog.pending.get(None)) is not None:
            await element.recovery.settle(leftover)
        if (done := _repeated(element, order.mode, token)) is not None:
            return done
        proposal = _proposal(element, order, token)
        since = await _enter(element, proposal, order, by=by, transition=digest(token))
        element.proposals.forget_all()
        return _transition(element, proposal.from_mode, proposal.to_mode, since=since)


async def _enter(
    element: Element, proposal: Proposal, order: TransitionRequest, *, by: str, transition: str
) -> datetime:
    """The intent closes the element to what the new mode does not allow; ``element.json`` is the commit."""
    mode = proposal.to_mode
    async with element.recovery.intent("mode_change", None, IDENTITY_KEY, mode=mode) as intent:
        await _drain(element, proposal, patience=order.wait)
        await _settle_leftovers(element)
        period = ModePeriod(
            mode=mode,
            since=datetime.now(UTC),
            by=by,
            on_behalf_of=order.on_behalf_of,
            reason=order.reason or proposal.reason,
            transition=transition,
        )
        await element.root.enter(period)
        await element.catalog.record_mode(mode, finishes=intent)
    _audit.info(
        "mode_changed",
        element_id=element.element_id,
        from_mode=proposal.from_mode,
        **period.model_dump(exclude={"since", "transition"}),
        position=element.catalog.last_sequence,
    )
    return period.since


async def _drain(element: Element, proposal: Proposal, *, patience: float) -> None:
    ended = ended_by(proposal.from_mode, proposal.to_mode)
    try:
        async with asyncio.timeout(patience):
            await element.activity.end_of(ended)
    except TimeoutError:
        left = ", ".join(f"{number} {each}" for each, number in element.activity.count(ended).items())
        raise UnavailableError(
            f"operations that mode {proposal.to_mode} does not allow are still under way ({left}): "
            f"the mode is still {proposal.from_mode}, confirm again when they have ended",
            retry_after=RETRY_AFTER,
        ) from None


async def _settle_leftovers(element: Element) -> None:
    """Finish or undo what was interrupted: in the new mode nothing of that may happen any more."""
    for intent in list(element.catalog.pending.values()):
        if intent.file_id is None:
            continue
        async with element.locks[intent.file_id]:
            if element.catalog.pending.get(intent.file_id) is intent:
                await element.recovery.settle(intent)


def _proposal(element: Element, order: TransitionRequest, token: str) -> Proposal:
    modes.check_transition(element.mode, order.mode, element_id=element.element_id)
    proposal = element.proposals.get(token)
    if proposal is None or (proposal.from_mode, proposal.to_mode) != (element.mode, order.mode):
        raise PreconditionFailedError(
            f"the confirmation is not, or not any more, one of a change from {element.mode} to {order.mode}: "
            "leave it out to validate again, and confirm with the token of that answer"
        )
    if order.mode in MODE_TABLE[element.mode].reopens and not order.reopen:
        message = f"must be true to go back from {element.mode} to {order.mode}"
        raise InvalidRequestError(f"reopen {message}", [("reopen", message)])
    return proposal


def _repeated(element: Element, mode: Mode, token: str) -> Transition | None:
    """The change that led to the present mode, if this token confirmed it: its answer was lost."""
    history = element.identity.mode_history
    if (history[-1].mode, history[-1].transition) != (mode, digest(token)):
        return None
    before, last = history[-2:]
    return _transition(element, before.mode, last.mode, since=last.since)


def _transition(
    element: Element, from_mode: Mode, to_mode: Mode, *, since: datetime | None = None
) -> Transition:
    return Transition(
        element_id=element.element_id,
        status="validated" if since is None else "confirmed",
        from_mode=from_mode,
        to_mode=to_mode,
        allowed_operations=list(allowed_operations(to_mode)),
        ended_operations=list(ended_by(from_mode, to_mode)),
        needs_reopen=to_mode in MODE_TABLE[from_mode].reopens,
        since=since,
    )


def _rule(mode: Mode) -> ModeRuleView:
    rule = MODE_TABLE[mode]
    return ModeRuleView(
        mode=mode,
        operations=list(allowed_operations(mode)),
        next_modes=list(rule.next_modes),
        reopens=[each for each in rule.next_modes if each in rule.reopens],
    )

"""`artstore element mode`: shows the mode of a storage element, and changes it."""

from typing import Annotated

import typer

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.element import ElementOption, find_element
from artstore.cli.output import JsonOption, console, errors, print_json, print_table, time_text
from artstore.core.client.roles import parse
from artstore.core.spec import ConfigurationError
from artstore.core.transitions import LONGEST_WAIT, ModeState, Transition, TransitionOrder

ANSWER_TIMEOUT = 15.0


def mode(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[TARGET]", help="The mode to change to. Default: only show the present one."),
    ] = None,
    element: ElementOption = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the history.")] = None,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Allow a change back to a less restrictive mode.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, max=LONGEST_WAIT, metavar="SECONDS", help="How long uploads under way may take."),
    ] = 10,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show the mode of a storage element, or change it after saying what would happen and asking."""
    if target is None:
        _show(with_archive(data, profile, lambda archive: _state(archive, element)), as_json=json)
        return
    order = validated(TransitionOrder, {"mode": target, "reason": reason, "reopen": reopen, "wait": wait})
    plan = with_archive(data, profile, lambda archive: _send(archive, element, order))
    if not json:
        _print_plan(plan)
    if plan.needs_reopen and not reopen:
        raise ConfigurationError(f"going back from {plan.from_mode} to {plan.to_mode} needs --reopen")
    if not yes:
        question = f"Change storage element {plan.element_id} from {plan.from_mode} to {plan.to_mode}?"
        typer.confirm(question, abort=True, err=True)
    confirmed = order.model_copy(update={"confirmation": plan.confirmation})
    done = with_archive(data, profile, lambda archive: _send(archive, plan.element_id, confirmed))
    if json:
        print_json(done)
    else:
        console.print(f"storage element {done.element_id} is in mode {done.to_mode}")


async def _state(archive: Archive, element_id: str | None) -> ModeState:
    url = (await find_element(archive, element_id)).url
    return await archive.client.get(f"{url}/api/v1/mode", ModeState)


async def _send(archive: Archive, element_id: str | None, order: TransitionOrder) -> Transition:
    element = await find_element(archive, element_id)
    url = archive.url("admin", f"/api/v1/storage-elements/{element.element_id}/mode")
    return parse(Transition, await archive.client.post(url, order, deadline=order.wait + ANSWER_TIMEOUT))


def _show(state: ModeState, *, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    next_modes = ", ".join(state.next_modes) or "no other mode"
    console.print(f"storage element {state.element_id} is in mode {state.mode} and can go to {next_modes}")
    print_table(
        ("mode", "since", "by", "reason"),
        [
            (
                period.mode,
                time_text(period.since),
                period.on_behalf_of or period.by or "",
                period.reason or "",
            )
            for period in state.history
        ],
    )


def _print_plan(plan: Transition) -> None:
    """On standard error: the result alone goes where programs read."""
    ended = ", ".join(plan.ended_operations) or "nothing"
    errors.print(f"from {plan.from_mode} to {plan.to_mode}: ends {ended}")
    errors.print(f"allowed then: {', '.join(plan.allowed_operations)}")
    for operation, number in plan.under_way.items():
        errors.print(f"waits for {number} {operation} under way")
    if plan.pending:
        errors.print(f"{plan.pending} operations in the write-ahead log have to be settled before")

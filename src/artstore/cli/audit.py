"""`artstore audit`: reads the audit log, exports it, and proves that nobody touched it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import typer

from artstore.cli.audit_files import verify_files
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, print_json, print_table
from artstore.core.audit.entries import AuditPage, SignedCheckpoint
from artstore.core.audit.record import AuditRecord, Kind, Outcome
from artstore.core.audit.verification import Verification
from artstore.core.spec import CorruptedError

PATIENCE: Final = 600.0
"""Seconds without a byte: verifying reads the whole log."""

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Read and verify the audit log.")


@app.command("list")
def list_records(
    kind: Annotated[Kind | None, typer.Option(help="Only records of this kind.")] = None,
    event: Annotated[str | None, typer.Option(help="Name of an operation or a system event.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only records with this outcome.")] = None,
    actor: Annotated[str | None, typer.Option(help="Client id of the actor.")] = None,
    role: Annotated[str | None, typer.Option(help="Role that recorded it.")] = None,
    resource: Annotated[str | None, typer.Option(help="Beginning of the path.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Id of a request, at all roles.")] = None,
    since: Annotated[datetime | None, typer.Option(metavar="TIME", help="Not before then, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(metavar="TIME", help="Before then, UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to print.")] = 100,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List records, the newest first."""
    wanted = {
        "kind": kind,
        "event": event,
        "outcome": outcome,
        "actor": actor,
        "role": role,
        "resource": resource,
        "request_id": request_id,
        "since": _utc(since),
        "until": _utc(until),
        "limit": limit,
    }
    query = urlencode({name: value for name, value in wanted.items() if value is not None})

    async def ask(archive: Archive) -> AuditPage:
        return await archive.client.get(archive.url("admin", f"/api/v1/audit-log?{query}"), AuditPage)

    page = with_archive(data, profile, ask)
    print_json(page) if json else _print_page(page)


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Export the whole log as JSON lines."""

    async def copy(archive: Archive) -> int:
        url, count = archive.url("admin", "/api/v1/audit-log/export"), 0
        async with archive.client.request("GET", url, stall_timeout=PATIENCE) as response:
            with output.open("xb") as file:
                async for chunk in response.content.iter_any():
                    file.write(chunk)
                    count += chunk.count(b"\n")
        return count

    console.print(f"exported {with_archive(data, profile, copy)} records")


@app.command()
def verify(
    exported: Annotated[
        Path | None, typer.Argument(metavar="EXPORT", help="An export. Default: the log of the cluster.")
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where checkpoints are, such as the root of a storage element."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Public key that verifies checkpoints.")
    ] = None,
    audit_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The secret that seals records; optional.")
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Verify that no record was changed, moved, added or removed; name the first that was."""
    if exported is not None:
        report = verify_files(exported, checkpoints=checkpoints, public_key=public_key, audit_key=audit_key)
    else:
        report = with_archive(data, profile, _verify_there)
    print_json(report) if json else _print_report(report)
    if not report.is_sound:
        raise CorruptedError(report.fault.reason if report.fault else "records of a process never came")


@app.command()
def checkpoint(
    number: Annotated[
        int | None, typer.Option(min=1, help="Number of the checkpoint. Default: the newest.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write the verifying key to.")
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show a signed checkpoint; keep the public key apart from the servers."""
    query = "" if number is None else f"?number={number}"

    async def ask(archive: Archive) -> SignedCheckpoint:
        url = archive.url("admin", f"/api/v1/audit-log/checkpoint{query}")
        return await archive.client.get(url, SignedCheckpoint)

    signed = with_archive(data, profile, ask)
    if public_key is not None:
        with public_key.open("x") as file:
            file.write(signed.public_key)
    print_json(signed) if json else _print_checkpoint(signed)


async def _verify_there(archive: Archive) -> Verification:
    url = archive.url("admin", "/api/v1/audit-log/verify")
    return await archive.client.get(url, Verification, deadline=PATIENCE)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat() + "Z"


def _print_page(page: AuditPage) -> None:
    columns = ("position", "time", "role", "event", "outcome", "status", "actor", "address", "resource")
    print_table(columns, [(str(entry.position), *_cells(entry.record)) for entry in page.items])


def _cells(record: AuditRecord) -> tuple[str, ...]:
    return (
        record.occurred_at.isoformat(timespec="seconds"),
        record.role,
        record.event if record.times == 1 else f"{record.event} x {record.times}",
        record.outcome,
        str(record.status or ""),
        record.actor.client_id if record.actor else "",
        record.client_address or "",
        record.resource or "",
    )


def _print_checkpoint(signed: SignedCheckpoint) -> None:
    if (found := signed.checkpoint) is None:
        console.print("there is no checkpoint yet")
        return
    facts = found.model_dump(mode="json", include={"log_id", "number", "size", "root", "created_at"})
    print_table(("field", "value"), [(name, str(value)) for name, value in facts.items()])


def _print_report(report: Verification) -> None:
    for gap in report.gaps:
        console.print(f"gap: {gap.source} noted {gap.next - gap.after - 1} records that never came")
    for element_id in report.unchecked:
        console.print(f"unchecked: {element_id} could not be asked for checkpoints")
    if report.is_sound:
        console.print(
            f"sound: {report.records} records, of which checkpoints vouch for those up to {report.covered_to}"
        )

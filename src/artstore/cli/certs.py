"""`artstore certs`: the certificates of a cluster that is its own authority."""

import shutil
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from artstore.cli.authority import DEFAULT_DAYS, Authority, Issued
from artstore.cli.directory import ADMINISTRATOR, CERTS_NAME, CONFIG_NAME, DEFAULT_DATA
from artstore.cli.output import JsonOption, console, print_json, print_table, time_text
from artstore.cli.whole_files import alone
from artstore.core.config import PORT_OFFSETS, RoleName, Settings, read_settings
from artstore.core.spec import ConfigurationError

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Create, renew and revoke the certificates of a cluster."
)

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="Directory of the cluster.")]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME", help="An additional host name or address; may be repeated."),
]
DaysOption = Annotated[int, typer.Option(min=1, max=825, help="Days until it expires.")]
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")]

ROLES: Final[Sequence[RoleName]] = tuple(PORT_OFFSETS)
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@app.command()
def init(data: DataOption = DEFAULT_DATA, host: HostOption = None, days: DaysOption = DEFAULT_DAYS) -> None:
    """Create an authority, server and client certificates for each role, and an empty revocation list."""
    settings = read_settings(data / CONFIG_NAME) if (data / CONFIG_NAME).exists() else Settings()
    with alone(data / CERTS_NAME):
        make_certificates(data, settings, hosts=host or (), days=days)
    console.print(
        f"Made {escape(str(data / CERTS_NAME))}. Keep ca.key somewhere else; it is needed to issue, renew "
        "and revoke only."
    )


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="Name of the certificate, and of its files.")],
    server: Annotated[bool, typer.Option("--server", help="For a server. Default: for a client.")] = False,
    host: HostOption = None,
    days: DaysOption = DEFAULT_DAYS,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Issue another certificate, for a client (such as an application) or a server."""
    if host and not server:
        raise ConfigurationError("--host is for servers: add --server")
    with _changing(data) as authority:
        authority.issue(name, "server" if server else "client", hosts=host or (), days=days)
    console.print(f"Made {escape(str(authority.directory / name))}.crt and .key.")


@app.command()
def renew(
    names: NamesArgument = None, days: DaysOption = DEFAULT_DAYS, data: DataOption = DEFAULT_DATA
) -> None:
    """Renew certificates, with new keys. Running roles reload them by themselves."""
    with _changing(data) as authority:
        known = [issued.name for issued in authority.certificates() if issued.usage != "authority"]
        for name in names or known:
            authority.renew(name, days=days)
    console.print(f"Renewed {escape(', '.join(names or known))}.")


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the certificate.")], data: DataOption = DEFAULT_DATA
) -> None:
    """Put a certificate on the revocation list. Running roles refuse it from then on."""
    with _changing(data) as authority:
        authority.revoke(name)
    console.print(f"Revoked {escape(name)}. `artstore certs renew {escape(name)}` would make a new one.")


@app.command()
def show(json: JsonOption = False, data: DataOption = DEFAULT_DATA) -> None:
    """List the certificates, what they are for and when they expire."""
    found = _authority(data).certificates()
    if json:
        print_json({"certificates": [_facts(issued) for issued in found]})
        return
    print_table(
        ("name", "for", "expires", "state", "hosts"),
        [
            (
                issued.name,
                issued.usage,
                time_text(issued.certificate.not_valid_after_utc),
                _state(issued),
                ", ".join(issued.hosts),
            )
            for issued in found
        ],
    )


def make_certificates(
    data: Path, settings: Settings, *, hosts: Sequence[str] = (), days: int = DEFAULT_DAYS
) -> None:
    """What a cluster in ``data`` needs: one of each for every role, and one for its operator.

    All of them or, when it is broken off, none; no other command must be making them.

    Raises:
        ConfigurationError: there is an authority already.
    """
    directory, staged = data / CERTS_NAME, data / f"{CERTS_NAME}.new"
    if Authority(directory).exists():
        raise ConfigurationError(f"there is an authority in {directory} already; nothing was changed")
    shutil.rmtree(staged, ignore_errors=True)
    authority = Authority(staged)
    authority.create()
    for role in ROLES:
        names = [*LOCAL_NAMES, socket.gethostname(), *_configured_hosts(settings, role), *hosts]
        authority.issue(role, "server", hosts=names, days=days)
        authority.issue(f"{role}-client", "client", days=days)
    authority.issue(f"{ADMINISTRATOR}-client", "client", days=days)
    staged.rename(directory)


def _configured_hosts(settings: Settings, role: RoleName) -> list[str]:
    """Under which others reach the role; an address to listen on that means all of them is none."""
    hosts = (settings.role(role).host, urlsplit(settings.url(role)).hostname)
    return [host for host in hosts if host and host not in ("0.0.0.0", "::")]  # noqa: S104 - compared only


@contextmanager
def _changing(data: Path) -> Generator[Authority, None, None]:
    """The authority, for one command at a time: of two that revoke at once, neither may be forgotten."""
    authority = _authority(data)
    with alone(authority.directory):
        yield authority


def _authority(data: Path) -> Authority:
    authority = Authority(data / CERTS_NAME)
    if not authority.exists():
        raise ConfigurationError(
            f"there is no authority in {authority.directory}; `artstore certs init` makes one"
        )
    return authority


def _state(issued: Issued) -> str:
    if issued.is_revoked:
        return "revoked"
    return "expired" if issued.certificate.not_valid_after_utc < datetime.now(UTC) else "valid"


def _facts(issued: Issued) -> dict[str, object]:
    return {
        "name": issued.name,
        "for": issued.usage,
        "hosts": issued.hosts,
        "expires": issued.certificate.not_valid_after_utc.isoformat(),
        "state": _state(issued),
        "serial_number": f"{issued.certificate.serial_number:x}",
    }

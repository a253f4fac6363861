"""`artstore up`, `run` and `init`: starts roles from one configuration file."""

import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from artstore.cli import event_loop
from artstore.cli.authority import Authority
from artstore.cli.certs import make_certificates
from artstore.cli.composition import make_app
from artstore.cli.directory import (
    CERTS_NAME,
    CONFIG_NAME,
    DEFAULT_DATA,
    RUNNING_NAME,
    add_tls,
    make_directory,
    require_no_drill,
)
from artstore.cli.production import refuse_unsafe
from artstore.cli.whole_files import alone
from artstore.cli.workers import supervise
from artstore.core.config import RoleName, Settings, read_settings
from artstore.core.logging import configure_logging
from artstore.core.server import Listener, serve
from artstore.core.spec import ConfigurationError
from artstore.services.admin.first_person import FIRST_PASSWORD, FirstLogin
from artstore.services.admin.keys import ADMIN

ALL_ROLES: Final[Sequence[RoleName]] = ("admin", "element", "ingester", "query")

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="Directory of the cluster.")]


def up(
    data: DataOption = DEFAULT_DATA,
    base_port: Annotated[
        int | None, typer.Option(min=1, max=65000, help="admin +0, element +10, ingester +20, query +30.")
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Use mutual TLS; certificates and [tls] are created if missing."),
    ] = False,
) -> None:
    """Start all four roles in one process; the directory is created if needed."""
    if not (data / CONFIG_NAME).exists():
        make_directory(data, base_port=base_port)
    overrides = {} if base_port is None else {"base_port": base_port}
    settings = read_settings(data / CONFIG_NAME, overrides=overrides)
    require_no_drill(settings.base_directory)
    if tls and not settings.tls.enabled:
        _set_tls_up(data, settings)
        settings = read_settings(data / CONFIG_NAME, overrides=overrides)
    refuse_unsafe(settings, data / CONFIG_NAME)
    configure_logging(log_format=settings.logging.format, level=settings.logging.level)
    listeners = [_listener(role, settings) for role in ALL_ROLES]
    event_loop.run(
        serve(listeners, settings=settings.server, on_ready=lambda: _announce(data, settings, listeners)),
        roles=ALL_ROLES,
    )
    _forget(data, settings)


def run(
    role: Annotated[RoleName, typer.Argument(help="Which role to run.")],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Configuration file.")],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of processes.")] = 1,
    reuse_port: Annotated[bool, typer.Option("--reuse-port", hidden=True)] = False,
) -> None:
    """Run one role in this process, or in several."""
    settings = read_settings(config)
    require_no_drill(settings.base_directory)
    refuse_unsafe(settings, config)
    configure_logging(log_format=settings.logging.format, level=settings.logging.level)
    if workers > 1:
        if role == "element":
            raise ConfigurationError(
                "a storage element is one process: run one more element, on its own root"
            )
        supervise(["run", role, "--config", str(config), "--reuse-port"], workers=workers)
        return
    listener = _listener(role, settings, reuse_port=reuse_port)
    event_loop.run(serve([listener], settings=settings.server), roles=[role])


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to create.")],
    base_port: Annotated[int | None, typer.Option(min=1, max=65000, help="Port of admin.")] = None,
) -> None:
    """Create a directory with a commented configuration file, ready for `artstore up --data DIR`."""
    if (directory / CONFIG_NAME).exists():
        raise ConfigurationError(f"{directory / CONFIG_NAME} is there already; nothing was changed")
    make_directory(directory, base_port=base_port)
    Console(soft_wrap=True).print(
        f"Made [bold]{escape(str(directory / CONFIG_NAME))}[/bold]. Next: artstore up --data "
        f"{escape(shlex.quote(str(directory)))}"
    )


def _set_tls_up(data: Path, settings: Settings) -> None:
    """Keep it in the configuration: the roles run by themselves, and clients, find it there."""
    with alone(data / CERTS_NAME):
        section = tomllib.loads((data / CONFIG_NAME).read_text()).get("tls")
        if section is not None:
            if section.get("enabled"):  # another command was first
                return
            raise ConfigurationError(f"[tls] in {data / CONFIG_NAME} does not enable it: change that there")
        if not Authority(data / CERTS_NAME).exists():
            make_certificates(data, settings)
        add_tls(data)


def _listener(role: RoleName, settings: Settings, *, reuse_port: bool = False) -> Listener:
    return Listener(
        role=role,
        app=make_app(role, settings),
        host=settings.role(role).host,
        port=settings.port(role),
        reuse_port=reuse_port,
    )


def _forget(data: Path, settings: Settings) -> None:
    """Not after a failed start, and not what another says: its clients would no longer find it."""
    running = data / RUNNING_NAME
    if running.exists() and running.read_text().strip() == settings.url("admin"):
        running.unlink(missing_ok=True)


def _announce(data: Path, settings: Settings, listeners: Sequence[Listener]) -> None:
    (data / RUNNING_NAME).write_text(settings.url("admin") + "\n")
    option = "" if data == DEFAULT_DATA else f" --data {shlex.quote(str(data))}"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]ArtStore is up[/bold] on {escape(str(data.resolve()))}")
    for role in ALL_ROLES:
        console.print(f"  {role:<9} {settings.url(role)}")
    console.print("Each has /api/v1/openapi.json, /health/ready and /metrics.")
    console.print(
        f"Files are under {escape(str(data / 'storage'))}, credentials under {escape(str(data / 'secrets'))}."
    )
    for listener in listeners:
        if listener.role == "admin" and (first := listener.app[ADMIN].people.first_login) is not None:
            _announce_first_login(console, first)
    console.print("In another terminal:")
    for example in ("put --recursive FOLDER", "search WORD", "get ID -o FILE", "verify --recursive FOLDER"):
        console.print(f"  artstore {escape(example + option)}")
    console.print("Stop with Ctrl-C.\n")


def _announce_first_login(console: Console, first: FirstLogin) -> None:
    """Once: at the start that made it. What is no terminal is a log, in which passwords have no place."""
    where = f"the secret {FIRST_PASSWORD} has the password"
    password = f"password {first.password}" if console.is_terminal else where
    console.print(f"First login: {first.username}, {password}; it has to be changed.", markup=False)

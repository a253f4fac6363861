"""The directory of a cluster: what it is called by default, and what lies in it."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from artstore.cli.whole_files import put
from artstore.core.spec import ConfigurationError

CONFIG_NAME: Final = "artstore.toml"
RUNNING_NAME: Final = "admin-url"
"""File that tells clients where the running cluster is."""
CERTS_NAME: Final = "certs"
"""Directory of the certificates that `artstore certs` makes."""
TLS_NAME: Final = "tls.toml"
"""The section ``[tls]`` for these certificates, in this package."""
ADMINISTRATOR: Final = "administrator"
"""The operator, who has an account and a certificate as the roles have."""
DEFAULT_DATA: Final = Path("artstore-data")
ASIDE: Final = "before-amnesia"
"""Directory, beside the configuration file, in which the databases are while a drill has them away."""


def add_tls(directory: Path) -> None:
    """Append the section ``[tls]`` to the configuration file: mutual TLS with the certificates beside it.

    Raises:
        ConfigurationError: the file cannot be written to.
    """
    section = (files("artstore.cli") / TLS_NAME).read_text()
    try:
        config = (directory / CONFIG_NAME).resolve()
        put(config, f"{config.read_text()}\n{section}".encode(), mode=config.stat().st_mode & 0o777)
    except OSError as error:
        raise ConfigurationError(f"cannot write to {directory}: {error.strerror}") from error


def make_directory(directory: Path, *, base_port: int | None) -> None:
    """Write the default configuration file.

    Raises:
        ConfigurationError: the directory cannot be made or written to.
    """
    text = (files("artstore.cli") / CONFIG_NAME).read_text()
    if base_port is not None:
        text = text.replace("base_port = 8000", f"base_port = {base_port}")
    try:
        # The directory holds secrets and documents: others on this machine are none of its readers.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(directory / CONFIG_NAME, text.encode(), mode=0o644)
    except OSError as error:
        raise ConfigurationError(f"cannot write to {directory}: {error.strerror}") from error


def require_no_drill(directory: Path) -> None:
    """Refuse to work on databases that a drill has emptied: what is written to them would be lost.

    Raises:
        ConfigurationError: a drill was interrupted and not undone.
    """
    if (aside := directory / ASIDE).exists():
        raise ConfigurationError(
            f"an amnesia drill was interrupted: put its databases back from {aside}, with "
            "`artstore drill amnesia --undo`"
        )

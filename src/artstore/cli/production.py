"""Refuses to start a production cluster that is not safe, with everything that makes it so."""

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from artstore.cli.authority import AUTHORITY
from artstore.cli.composition import ROLES, plugin_sections
from artstore.cli.directory import CERTS_NAME
from artstore.core import registry as kinds
from artstore.core.config import PluginSection, Settings
from artstore.core.production import crosses_in_clear_text, unsafe_settings
from artstore.core.registry import Kind, Registry
from artstore.core.spec import ConfigurationError
from artstore.core.tls.settings import ROLE_PLACEHOLDER, is_pem

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def refuse_unsafe(settings: Settings, config: Path) -> None:
    """Look at the settings, the plugins' options, and who may read and write what they are read from.

    Raises:
        ConfigurationError: in production, one is unsafe; the message lists all.
    """
    if settings.environment != "production":
        return
    registry = Registry(base_directory=settings.base_directory)
    findings = [
        *unsafe_settings(settings),
        *_open_to_writing(config),
        *_open_secrets(registry, settings),
        *_open_keys(settings),
        *_plugin_options(registry, settings),
    ]
    if findings:
        raise ConfigurationError(
            f"{config} is not safe for environment = production:\n"
            + "\n".join(f"  {number}. {finding}" for number, finding in enumerate(findings, start=1))
        )


def _open_to_writing(config: Path) -> Iterator[str]:
    for path in (config, config.resolve().parent):
        if path.stat().st_mode & _OTHERS_WRITE:
            yield f"others can change the configuration: chmod go-w {path}"


def _open_secrets(registry: Registry, settings: Settings) -> Iterator[str]:
    """Files that the provider would refuse as well, but one at a time and only when they are needed."""
    for section in settings.secrets:
        if section.type != "file":
            continue
        directory: Path = registry.config(kinds.SECRETS, section).model_dump()["directory"]
        if directory.is_dir():
            if directory.stat().st_mode & _OTHERS_WRITE:
                yield f"others can replace the secrets in {directory}: chmod 700 {directory}"
            yield from (
                f"others have access to the secret in {path}: chmod 600 {path}"
                for path in sorted(directory.iterdir())
                if path.is_file() and path.stat().st_mode & _OTHERS
            )


def _open_keys(settings: Settings) -> Iterator[str]:
    yield from _open_key(settings.base_directory / CERTS_NAME / f"{AUTHORITY}.key")
    for name in ("key_file", "client_key_file"):
        key = getattr(settings.tls, name)
        if not isinstance(key, SecretStr):
            continue
        if is_pem(key.get_secret_value()):
            yield f"tls.{name} is written in the configuration: put it into a file or a secret"
            continue
        for path in dict.fromkeys(
            settings.base_directory / key.get_secret_value().replace(ROLE_PLACEHOLDER, role) for role in ROLES
        ):
            yield from _open_key(path)


def _open_key(path: Path) -> Iterator[str]:
    if path.is_file() and path.stat().st_mode & _OTHERS:
        yield f"others have access to the private key in {path}: chmod 600 {path}"


def _plugin_options(registry: Registry, settings: Settings) -> Iterator[str]:
    sections = [each for role in ROLES for each in plugin_sections(role, registry, settings)]
    yield from dict.fromkeys(
        finding
        for _, kind, section in sections
        for finding in (
            *_written_secrets(kind, section, registry.provider(kind, section.type).config),
            *_clear_text(kind, section, settings),
        )
    )


def _written_secrets(kind: Kind[Any], section: PluginSection, model: type[BaseModel]) -> Iterator[str]:
    """Secrets in a configuration file end up in backups, in repositories and on screens."""
    for option in _secret_options(model, section.options):
        yield (
            f"the {kind.name} plugin's {option} is written in the configuration: put it into a secret and "
            f'write {option} = {{ secret = "NAME" }}'
        )


def _clear_text(kind: Kind[Any], section: PluginSection, settings: Settings) -> Iterator[str]:
    """Keys that tokens are verified with, and documents, must come from whom they should come from."""
    told_elsewhere = {settings.issuer_url(), *map(settings.url, ROLES)}
    for option, value in section.options.items():
        if not isinstance(value, str) or not value.startswith("http://") or value in told_elsewhere:
            continue
        if crosses_in_clear_text(value):
            yield f"the {kind.name} plugin's {option} is {value}: it must be an https URL"


def _secret_options(model: type[BaseModel], options: Mapping[str, Any]) -> Iterable[str]:
    """Options that the plugin declares secret and that are given as plain text."""
    return [
        name
        for name, field in model.model_fields.items()
        if isinstance(options.get(name), str) and "SecretStr" in str(field.annotation)
    ]

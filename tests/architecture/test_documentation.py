"""What the documentation names is there: pages, commands, targets, settings, plugins, operations, metrics."""

import asyncio
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
import typer
from typer.core import TyperGroup

from artstore.cli.composition import ROLES, make_app
from artstore.cli.main import app as command_line
from artstore.core.attributes import FileAttributes
from artstore.core.config import ENVIRONMENT_PREFIX, PORT_OFFSETS, PluginSection, Settings, read_settings
from artstore.core.exchange import ElementInfo
from artstore.core.keys import ENDPOINTS
from artstore.core.registry import KINDS, Kind, Registry, installed_plugins
from artstore.core.secrets import SecretsChain
from artstore.core.spec import SecretProvider, SecretValue
from tests.architecture.documents import Page, pages
from tests.architecture.repository import ROOT

HOOKS: Final = {kind.hook for kind in KINDS}
KIND_NAMES: Final = "|".join(kind.name for kind in KINDS)
BASE_PORT: Final = 8000
ROLE_OF_PORT: Final = {BASE_PORT + offset: role for role, offset in PORT_OFFSETS.items()}

every_page = pytest.mark.parametrize("page", pages().values(), ids=list(pages()))


@every_page
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        target = urlsplit(link)
        if target.scheme:
            assert target.scheme == "https", link
            continue
        path = (page.path.parent / unquote(target.path)).resolve() if target.path else page.path
        assert path.exists(), link
        if target.fragment:
            assert target.fragment in pages()[str(path.relative_to(ROOT))].anchors, link


def test_every_page_can_be_reached_from_the_readme() -> None:
    waiting = ["README.md"]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        waiting += _linked_pages(pages()[name])

    assert {name for name in pages() if name.startswith("docs/")} <= reached


@every_page
def test_paths_of_this_repository_exist(page: Page) -> None:
    for code in page.spans:
        if re.fullmatch(r"(src|tests|docs|examples|benchmarks)(/[\w.-]+)+/?", code):
            assert (ROOT / code).exists(), code


@every_page
def test_commands_and_their_options_exist(page: Page) -> None:
    for command in page.commands():
        for arguments in _calls(command, "artstore"):
            _check_arguments(arguments)


@pytest.mark.parametrize(
    "command", ["artstore fetch", "artstore put --sideways X", "X=$(artstore info --jsn)"]
)
def test_a_command_that_is_not_there_is_noticed(command: str) -> None:
    (arguments,) = _calls(command, "artstore")

    with pytest.raises(AssertionError):
        _check_arguments(arguments)


@every_page
def test_make_targets_exist(page: Page) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for command in page.commands():
        for arguments in _calls(command, "make"):
            assert {word for word in arguments if "=" not in word} <= targets, command


@every_page
def test_configuration_can_be_used_as_it_is_written(page: Page, tmp_path: Path) -> None:
    for block in page.blocks:
        if block.language == "toml" and not block.text.startswith("[project"):
            _check_configuration(block.text, tmp_path / "artstore.toml")


@every_page
def test_sections_and_variables_of_the_configuration_exist(page: Page) -> None:
    for code in page.code():
        for variable in re.findall(rf"{ENVIRONMENT_PREFIX}[A-Z][A-Z_]*", code):
            _check_setting(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), variable)
    for code in page.spans:
        if section := re.fullmatch(r"\[\[?([a-z_]+)\]\]?", code):
            assert section[1] in Settings.model_fields, code


@every_page
def test_hooks_plugins_and_metrics_exist(page: Page) -> None:
    metrics = {span for span in pages()["docs/reference/metrics.md"].spans if span.startswith("artstore_")}
    plugins = {entry_point.name for entry_point in installed_plugins()}
    options = {name for table in pages()["docs/reference/configuration.md"].tables for name in table}
    fields = FileAttributes.model_fields.keys() | ElementInfo.model_fields.keys() | options

    for code in page.spans:
        if re.fullmatch(rf"({KIND_NAMES})_[a-z0-9]+", code):
            assert code in plugins | fields
        if re.fullmatch(r"artstore_[a-z0-9_]+", code) and not code.startswith("artstore_plugin_"):
            assert code in HOOKS | metrics | {f"artstore_{plugin}" for plugin in plugins}


@every_page
def test_operations_exist(page: Page) -> None:
    for code in page.spans:
        if called := re.fullmatch(r"(GET|HEAD|POST|PUT|PATCH|DELETE) (/\S*)", code):
            assert any(_serves(role, called[1], called[2]) for role in ROLES), code


@every_page
def test_urls_that_are_to_be_typed_are_served_by_the_role_of_their_port(page: Page) -> None:
    for command in page.commands():
        for port, path in re.findall(r"https?://127\.0\.0\.1:(\d+)(/[^\s'\"?)]*)", command):
            role = ROLE_OF_PORT[int(port)]
            assert any(_serves(role, method, path) for method in ("GET", "POST", "PUT")), command


def _linked_pages(page: Page) -> Iterator[str]:
    """A folder stands for the pages in it."""
    for link in page.links:
        target = urlsplit(link)
        if target.scheme or not target.path:
            continue
        path = (page.path.parent / target.path).resolve()
        found = path.glob("*.md") if path.is_dir() else [path] if path.suffix == ".md" else []
        yield from (str(each.relative_to(ROOT)) for each in found)


def _calls(command: str, program: str) -> Iterator[list[str]]:
    """The arguments of every call of ``program`` in a line that is typed into a shell."""
    for call in re.finditer(rf"(?:^|[|;&(] *|\bdo |= *){program}(?= |$)([^|;&()<>]*)", command):
        yield shlex.split(call[1], comments=True)


def _check_arguments(arguments: list[str]) -> None:
    """Every option is one of its command's; every subcommand is there."""
    command = typer.main.get_command(command_line)
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            options = {
                name for parameter in command.params for name in parameter.opts + parameter.secondary_opts
            }
            assert argument.split("=")[0] in options | {"--help", "-h"}, arguments
        elif isinstance(command, TyperGroup):
            child = command.get_command(typer.Context(command), argument)
            assert child is not None, arguments
            command = child


def _check_configuration(text: str, path: Path) -> None:
    path.write_text(text)
    settings = read_settings(path, environment={})
    registry = Registry(base_directory=path.parent)
    kinds: dict[str, Kind[Any]] = {kind.name: kind for kind in KINDS}
    kinds["catalog"] = kinds["metadata"]
    for name in tomllib.loads(text).keys() & kinds:
        section: PluginSection | tuple[PluginSection, ...] = getattr(settings, name)
        for each in section if isinstance(section, tuple) else (section,):
            registry.config(kinds[name], asyncio.run(EVERY_SECRET.resolve_section(each)))


class _EverySecret(SecretProvider):
    """Has whatever a page refers to."""

    @property
    def writer(self) -> None:
        return None

    async def get(self, name: str) -> SecretValue:
        return SecretValue(b"a secret", version="1", source="a page")


EVERY_SECRET: Final = SecretsChain([_EverySecret()])


def _check_setting(keys: list[str], source: str) -> None:
    """The options of plugins are checked where they are configured."""
    fields: Any = Settings.model_fields
    for key in keys:
        assert key in fields, source
        annotation = fields[key].annotation
        fields = getattr(annotation, "model_fields", {})
        if getattr(annotation, "model_config", {}).get("extra") == "allow":
            return


@cache
def _templates(role: str) -> list[tuple[str, re.Pattern[str]]]:
    app = make_app(role, Settings())  # type: ignore[arg-type]
    operations = [endpoint.operation for endpoint in app[ENDPOINTS].values()]
    return [(each.method, re.compile(re.sub(r"\{[^}]*\}", r"[^/]+", each.path))) for each in operations]


def _serves(role: str, method: str, path: str) -> bool:
    return any(method == known and template.fullmatch(path) for known, template in _templates(role))

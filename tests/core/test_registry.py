"""Plugins: found by configuration, refused with one clear line. Real distributions on a real path."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from artstore.core.config import PluginSection
from artstore.core.metrics import Metrics
from artstore.core.registry import CACHE, SECRETS, STORAGE, Registry, installed_plugins
from artstore.core.secrets import SecretsChain
from artstore.core.spec import ConfigurationError, PluginError

Install = Callable[..., None]

PLUGIN = """
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from pydantic import SecretStr
from artstore.core.spec import PluginConfig, PluginContext, Provider, hookimpl

class Config(PluginConfig):
    folder: Path = Path("x")
    password: SecretStr = SecretStr("")

@asynccontextmanager
async def opened(config, context):
    context.metrics.counter("opened_total", "Times opened.")()
    yield config

@hookimpl
def artstore_cache_providers():
    return [Provider(name="{type}", spec={spec}, config=Config, open=opened)]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with one plugin on the path, as pip would."""

    def install(
        distribution: str,
        plugin: str,
        *,
        provided: str | None = None,
        spec: int = 1,
        source: str | None = None,
    ) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        module = f"{distribution}_{plugin}".replace("-", "_")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[artstore]\n{plugin} = {module}\n")
        type_name = provided or plugin.partition("_")[2]
        text = source or PLUGIN.replace("{type}", type_name).replace("{spec}", str(spec))
        (site / f"{module}.py").write_text(text)
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(base_directory=tmp_path)


def test_an_installed_plugin_is_imported_only_when_it_is_named(install: Install, registry: Registry) -> None:
    install("dist-a", "cache_lazy")

    assert "dist_a_cache_lazy" not in sys.modules
    assert "cache_lazy" in [entry_point.name for entry_point in installed_plugins()]

    registry.provider(CACHE, "lazy")
    assert "dist_a_cache_lazy" in sys.modules


def test_a_plugin_that_is_not_installed_is_named_with_those_that_are(registry: Registry) -> None:
    with pytest.raises(PluginError, match=r"storage_tape is not installed; installed are: .*storage_local"):
        registry.provider(STORAGE, "tape")


def test_a_plugin_for_another_spec_is_refused(install: Install, registry: Registry) -> None:
    install("dist-b", "cache_old", spec=99)

    with pytest.raises(PluginError, match=r"cache_old is written for version 99 .* speaks version 1"):
        registry.provider(CACHE, "old")


def test_a_plugin_that_cannot_be_imported_is_named_with_its_extra(
    install: Install, registry: Registry
) -> None:
    install("dist-c", "cache_broken", source="import a_module_that_nobody_has")

    with pytest.raises(PluginError, match=r"cache_broken cannot be loaded.*a_module.*dist-c\[cache_broken\]"):
        registry.provider(CACHE, "broken")


def test_a_misspelt_hook_is_refused(install: Install, registry: Registry) -> None:
    source = (
        "from artstore.core.spec import hookimpl\n@hookimpl\ndef artstore_cache_provider():\n    return []\n"
    )
    install("dist-d", "cache_misspelt", source=source)

    with pytest.raises(PluginError, match=r"cache_misspelt cannot be loaded.*artstore_cache_provider"):
        registry.provider(CACHE, "misspelt")


def test_one_name_from_two_distributions_names_both(install: Install, registry: Registry) -> None:
    install("dist-e", "cache_twice")
    install("dist-f", "cache_twice")

    with pytest.raises(PluginError, match="cache_twice is offered by dist-e and dist-f"):
        registry.provider(CACHE, "twice")


def test_a_plugin_that_provides_something_else_is_told(install: Install, registry: Registry) -> None:
    install("dist-g", "cache_said", provided="other")

    with pytest.raises(PluginError, match="provides no cache 'said'"):
        registry.provider(CACHE, "said")


def test_an_unknown_option_names_the_nearest_known_one(install: Install, registry: Registry) -> None:
    install("dist-h", "cache_options")

    with pytest.raises(
        PluginError, match=r"\[cache\] type options: foldr: is unknown; did you mean folder\?"
    ):
        registry.config(CACHE, PluginSection.model_validate({"type": "options", "foldr": "x"}))


def test_relative_paths_start_at_the_configuration_file(
    install: Install, registry: Registry, tmp_path: Path
) -> None:
    install("dist-i", "cache_paths")

    config = registry.config(CACHE, PluginSection.model_validate({"type": "paths", "folder": "here"}))

    assert config.model_dump()["folder"] == tmp_path / "here"


async def test_secrets_are_resolved_before_a_plugin_is_opened(
    install: Install, registry: Registry, tmp_path: Path
) -> None:
    install("dist-j", "cache_secret")
    (tmp_path / "the-password").write_text("s3cret\n")
    (tmp_path / "the-password").chmod(0o600)
    files = PluginSection.model_validate({"type": "file", "directory": str(tmp_path)})
    section = PluginSection.model_validate({"type": "secret", "password": {"secret": "the-password"}})
    metrics = Metrics(role="test")
    await asyncio.to_thread(registry.provider, SECRETS, "file")
    await asyncio.to_thread(registry.provider, CACHE, "secret")

    async with registry.open(SECRETS, files, secrets=SecretsChain(), metrics=metrics) as provider:
        chain = SecretsChain([provider])
        async with registry.open(CACHE, section, secrets=chain, metrics=metrics) as config:
            assert config.password.get_secret_value() == "s3cret"  # type: ignore[attr-defined]
            assert "s3cret" not in repr(config)
    assert metrics.registry.get_sample_value("artstore_plugin_cache_secret_opened_total") == 1


async def test_a_secret_that_nobody_has_is_named(install: Install, registry: Registry) -> None:
    install("dist-k", "cache_missing")
    section = PluginSection.model_validate({"type": "missing", "password": {"secret": "not-there"}})
    await asyncio.to_thread(registry.provider, CACHE, "missing")

    with pytest.raises(ConfigurationError, match="secret 'not-there' is not in any"):
        async with registry.open(CACHE, section, secrets=SecretsChain(), metrics=Metrics(role="test")):
            pass

"""How a root is opened, and what an operator is told when it cannot be."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from artstore.core.spec import ConfigurationError
from artstore.core.testing import body, plugin_context, read
from artstore.plugins.storage_local.plugin import LocalConfig, artstore_storage_providers, open_local


def test_the_hook_introduces_the_local_type() -> None:
    (provider,) = artstore_storage_providers()

    assert (provider.name, provider.spec, provider.config) == ("local", 1, LocalConfig)


@pytest.mark.parametrize("options", [{}, {"root": "/data", "thread": 1}, {"root": "/data", "threads": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LocalConfig.model_validate(options)


async def test_objects_outlive_the_process(root: Path) -> None:
    async with open_local(LocalConfig(root=root), plugin_context("storage_local")) as storage:
        info = await storage.put("a/key", body(b"content"))

    async with open_local(LocalConfig(root=root), plugin_context("storage_local")) as storage:
        assert await read(storage.get("a/key")) == b"content"
        assert (await storage.head("a/key")).etag == info.etag


async def test_a_root_is_created_with_its_parents(root: Path) -> None:
    async with open_local(
        LocalConfig(root=root / "far" / "below"), plugin_context("storage_local")
    ) as storage:
        await storage.put("key", body(b"content"))

    assert (root / "far" / "below" / "key").read_bytes() == b"content"


async def test_a_root_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async with open_local(LocalConfig(root=Path("data")), plugin_context("storage_local")) as storage:
        await storage.put("key", body(b"content"))

    assert (tmp_path / "data" / "key").read_bytes() == b"content"


@pytest.mark.parametrize("path", [".", "below", "below/far"])
async def test_a_file_in_the_place_of_the_root_is_explained_in_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    root = tmp_path / "file" / path

    with pytest.raises(ConfigurationError) as failure:
        async with open_local(LocalConfig(root=root), plugin_context("storage_local")):
            pass

    message = str(failure.value)
    assert str(root) in message
    assert "Not a directory" in message
    assert "option root" in message
    assert "\n" not in message


async def test_what_a_killed_process_left_staged_is_removed(root: Path) -> None:
    staging = root / ".artstore" / "staging"
    staging.mkdir(parents=True)
    (staging / "leftover").write_bytes(b"half an upl")
    (root / "key").write_bytes(b"content")

    with capture_logs() as logs:
        async with open_local(LocalConfig(root=root), plugin_context("storage_local")) as storage:
            assert list(staging.iterdir()) != []  # it could be that of a process that lives
            exclusive_use = storage.capabilities.exclusive_use
            assert exclusive_use is not None
            await exclusive_use.take_over(lambda key: True)
            assert [info.key async for info in storage.list()] == ["key"]

    assert list(staging.iterdir()) == []
    assert [(entry["event"], entry["count"]) for entry in logs] == [("storage_leftovers_removed", 1)]


async def test_a_root_has_one_process_at_a_time(root: Path) -> None:
    async with open_local(LocalConfig(root=root), plugin_context("storage_local")) as first:
        with pytest.raises(ConfigurationError, match=r"root .* is in use by another process: stop that"):
            async with open_local(LocalConfig(root=root), plugin_context("storage_local")):
                pass
        await first.put("key", body(b"content"))

    async with open_local(LocalConfig(root=root), plugin_context("storage_local")) as second:
        assert await read(second.get("key")) == b"content"

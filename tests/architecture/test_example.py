"""The example plugin is a distribution of its own: built, installed, proved and used as anyone else's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.documents import pages
from tests.architecture.repository import EXAMPLE
from tests.cluster import Cluster

OFFLINE: Final = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the plugin, installed from its wheel, and nothing else."""
    source = tmp_path_factory.mktemp("example") / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns(".*", "*.egg-info", "build"))
    target = source.with_name("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *OFFLINE, "--target", str(target), str(source)], check=True
    )
    return target


def test_it_passes_the_contract_from_its_wheel(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)

    proof = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=_with(installed),
        check=False,
        capture_output=True,
        text=True,
    )

    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert " passed" in proof.stdout


def test_it_serves_uploads_when_the_configuration_names_it(installed: Path, tmp_path: Path) -> None:
    content = b"kept in memory"
    cluster = Cluster(tmp_path / "data")
    try:
        cluster.start(environment={**_with(installed), "ARTSTORE__STORAGE": '{type = "memory"}'})

        stored = cluster.request(
            "ingester", "POST", "/api/v1/files/upload", body=_form(content), headers=_FORM_HEADERS
        )
        file_id = stored.json()["file_id"]
        received = cluster.request("query", "GET", f"/api/v1/files/{file_id}/download")
        info = cluster.request("element", "GET", "/api/v1/info")

        assert stored.status == 201
        assert received.body == content
        assert info.json()["storage_type"] == "memory"
        assert not list((tmp_path / "data/storage").glob("2*"))
    finally:
        cluster.kill()


def test_the_plugin_that_is_tested_is_the_installed_one(installed: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import artstore_storage_memory; print(artstore_storage_memory.__file__)"],
        env=_with(installed),
        check=True,
        capture_output=True,
        text=True,
    )

    assert Path(found.stdout.strip()).is_relative_to(installed)


def test_the_tutorial_quotes_it_word_for_word() -> None:
    sources = [_dense(path.read_text()) for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml")]
    quotes = [
        _dense(block.text)
        for block in pages()["docs/tutorial/storage-plugin.md"].blocks
        if block.language == "python" or "[project" in block.text
    ]

    assert len(quotes) > 5
    for quote in quotes:
        assert any(quote in source for source in sources), quote


def _dense(code: str) -> str:
    """Without white space: methods are quoted outside their class, where lines break elsewhere."""
    return "".join(code.split())


def _with(installed: Path) -> dict[str, str]:
    """An environment in which ``installed`` comes before everything else."""
    return {**os.environ, "PYTHONPATH": str(installed)}


_FORM_HEADERS = {"Content-Type": "multipart/form-data; boundary=limit"}


def _form(content: bytes) -> bytes:
    head = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="note.txt"\r\n\r\n'
    return head + content + b"\r\n--limit--\r\n"

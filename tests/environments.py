"""Programs from PyPI that must not share our environment: each has one of its own, made once."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

import pytest

CACHE: Final = Path(__file__).parents[1] / ".cache"
AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL reads, instead of where the system has them, whom to trust."""
_ORIGINAL: Final = dict(os.environ)
"""Before the tests trust nobody: what is installed comes over TLS."""


def python_with(package: str, version: str) -> Path:
    """The interpreter of an environment that has ``package``, and nothing of ours."""
    environment = CACHE / f"{package}-{version}"
    python = environment / "bin" / "python"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (environment / "complete").exists():
            shutil.rmtree(environment, ignore_errors=True)
            _install(environment, python, f"{package}=={version}")
            (environment / "complete").touch()
    return python


def missing(component: str) -> NoReturn:
    """Fail where everything has to be there, skip elsewhere."""
    if os.environ.get("REQUIRE_REAL"):
        pytest.fail(component)
    pytest.skip(component)


def _install(environment: Path, python: Path, requirement: str) -> None:
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", requirement],
    ):
        completed = subprocess.run(command, capture_output=True, text=True, check=False, env=_ORIGINAL)
        if completed.returncode:
            missing(f"{requirement} cannot be installed: {completed.stderr[-1000:]}")

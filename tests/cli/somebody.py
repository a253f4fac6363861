"""A person who types commands, with a home of their own."""

import json
import os
import subprocess
from pathlib import Path
from subprocess import CompletedProcess

from tests.cluster import Cluster, artstore


class Somebody:
    """A person at a terminal of their own."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.login_file = home / ".config/artstore/login.json"
        self._home = home

    def run(self, *arguments: str, typed: str = "") -> "CompletedProcess[str]":
        """A command; ``typed`` is its standard input."""
        return subprocess.run(
            [artstore(), *arguments],
            input=typed,
            env=self.environment(),
            cwd=self._home,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def succeed(self, *arguments: str, typed: str = "") -> str:
        """What a command prints that must succeed."""
        completed = self.run(*arguments, typed=typed)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    def log_in(self, username: str, password: str) -> str:
        """Log in with a password from standard input."""
        where = ("--data", str(self.cluster.data))
        return self.succeed("login", *where, "--username", username, "--password-stdin", typed=password)

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._home)}

    def let_the_token_grow_old(self) -> None:
        """The next command has to refresh it."""
        login = json.loads(self.login_file.read_text())
        self.login_file.write_text(json.dumps(login | {"refresh_at": 0}))

"""The schema's history, up and down, and by many at once."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from pathlib import Path
from sqlite3 import connect
from typing import Final

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy.exc import OperationalError

from artstore.core import migrations

TABLES: Final = {
    "account_usage",
    "alembic_version",
    "audit_checkpoints",
    "audit_due",
    "audit_head",
    "audit_log",
    "elements",
    "file_attributes",
    "file_sidecars",
    "file_tags",
    "files",
    "finalizations",
    "former_passwords",
    "index_positions",
    "leases",
    "login_failures",
    "login_sources",
    "people",
    "refresh_tokens",
    "revocations",
    "service_accounts",
    "signing_keys",
    "used_assertions",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "artstore %20 база.db"


@pytest.fixture
def url(path: Path) -> str:
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def tables(path: Path) -> set[str]:
    with closing(connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def schema(path: Path) -> Sequence[tuple[str, str]]:
    with closing(connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def scripts() -> list[Script]:
    """Oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return list(ScriptDirectory.from_config(config).walk_revisions())[::-1]


def revisions() -> list[str]:
    return [script.revision for script in scripts()]


def test_an_empty_database_gets_the_newest_schema(url: str, path: Path) -> None:
    assert migrations.current(url) is None

    migrations.upgrade(url)

    assert tables(path) == TABLES
    assert migrations.current(url) == revisions()[-1]


def test_upgrading_again_changes_nothing(url: str, path: Path) -> None:
    migrations.upgrade(url)
    before = schema(path)

    migrations.upgrade(url)

    assert schema(path) == before


def test_every_revision_goes_down_to_what_was_before_it(url: str, path: Path) -> None:
    before: list[tuple[str, Sequence[tuple[str, str]]]] = [("base", [])]
    for revision in revisions():
        migrations.upgrade(url, revision)
        before.append((revision, schema(path)))

    for revision, expected in before[-2::-1]:
        migrations.downgrade(url, revision)

        assert [row for row in schema(path) if "alembic" not in row[0]] == [
            row for row in expected if "alembic" not in row[0]
        ]
    assert migrations.current(url) is None


def test_a_migration_that_fails_leaves_nothing_behind(url: str, path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE leases (name TEXT)")  # in the way of the last statement

    with pytest.raises(OperationalError, match="leases"):
        migrations.upgrade(url)

    assert tables(path) == {"leases"}


def test_threads_that_start_at_once_do_not_meet(url: str, path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrations.upgrade, [url] * 4))

    assert tables(path) == TABLES


def test_processes_that_start_at_once_do_not_meet(url: str, path: Path) -> None:
    program = "import sys; from artstore.core import migrations; migrations.upgrade(sys.argv[1])"

    processes = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert tables(path) == TABLES


def test_every_revision_speaks_postgresql_too() -> None:
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )

    with Operations.context(context):
        for script in scripts():
            script.module.upgrade()
        for script in scripts()[::-1]:
            script.module.downgrade()

    statements = written.getvalue()
    assert "private_key_encrypted BYTEA NOT NULL" in statements
    assert "row_id BIGINT NOT NULL" in statements
    assert 'filename_folded TEXT COLLATE "C" NOT NULL' in statements
    assert "WITHOUT ROWID" not in statements
    assert statements.count("CREATE TABLE") == statements.count("DROP TABLE")

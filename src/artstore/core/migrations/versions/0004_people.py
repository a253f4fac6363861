"""People who may log in, their passwords of before, their sessions, and the logins that failed.

A refresh token is found by its hash. One that was used stays until its session ends, so that it is
recognised when somebody uses it again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0005"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TIME = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("username", _TEXT, nullable=False, unique=True),
        sa.Column("email", _TEXT, unique=True),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", _TEXT, nullable=False),
        sa.Column("password_changed_at", _TIME, nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("last_login_at", _TIME),
    )
    _create_passwords()
    _create_sessions()
    _create_failures()


def _create_passwords() -> None:
    op.create_table(
        "former_passwords",
        sa.Column("person_id", _TEXT, nullable=False),
        sa.Column("replaced_at", _TIME, nullable=False),
        sa.Column("password_hash", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "replaced_at", "password_hash"),
    )


def _create_sessions() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", _TEXT, primary_key=True),
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("person_id", _TEXT, nullable=False),
        sa.Column("is_used", sa.Boolean(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("access_token_id", _TEXT, nullable=False),
        sa.Column("access_expires_at", _TIME, nullable=False),
    )
    op.create_index("refresh_tokens_session", "refresh_tokens", ["session_id"])
    op.create_index("refresh_tokens_person", "refresh_tokens", ["person_id"])
    op.create_index("refresh_tokens_access", "refresh_tokens", ["access_token_id"])
    op.create_index("refresh_tokens_expires_at", "refresh_tokens", ["expires_at"])


def _create_failures() -> None:
    op.create_table(
        "login_failures",
        sa.Column("name_hash", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name_hash", "source"),
    )
    op.create_index("login_failures_last_at", "login_failures", ["last_at"])
    op.create_table(
        "login_sources",
        sa.Column("name_hash", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name_hash", "source"),
    )


def downgrade() -> None:
    for table in ("login_sources", "login_failures", "refresh_tokens", "former_passwords", "people"):
        op.drop_table(table)

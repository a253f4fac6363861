"""Finalizations: files on their way from temporary to permanent, so that a restart goes on with them.

A file has at most one that is under way, and a client's idempotency key at most one. What is to be done
next is found by ``next_attempt_at``, which is empty when nothing is left to be done.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TIME = sa.BigInteger()
_ACTIVE = "status IN ('pending', 'copying', 'copied', 'verified', 'switched', 'source_removal_scheduled')"


def upgrade() -> None:
    op.create_table(
        "finalizations",
        sa.Column("finalization_id", _TEXT, primary_key=True),
        sa.Column("file_id", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("requested_by", _TEXT, nullable=False),
        sa.Column("request_key", _TEXT, unique=True),
        sa.Column("source_element_id", _TEXT, nullable=False),
        sa.Column("target_element_id", _TEXT, nullable=False),
        sa.Column("is_target_requested", sa.Boolean(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("bytes_copied", sa.BigInteger(), nullable=False),
        sa.Column("checksum", _TEXT, nullable=False),
        sa.Column("checksum_verified", sa.Boolean(), nullable=False),
        sa.Column("source_version", sa.BigInteger()),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("error", _TEXT),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("remove_source_at", _TIME),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("completed_at", _TIME),
    )
    op.create_index(
        "finalizations_active_file",
        "finalizations",
        ["file_id"],
        unique=True,
        sqlite_where=sa.text(_ACTIVE),
        postgresql_where=sa.text(_ACTIVE),
    )
    op.create_index("finalizations_file", "finalizations", ["file_id", "created_at"])
    op.create_index("finalizations_created_at", "finalizations", ["created_at"])
    op.create_index(
        "finalizations_due",
        "finalizations",
        ["next_attempt_at"],
        sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("finalizations")

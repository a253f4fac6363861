"""Audit records that are due: each is written with its change, and goes when the record is in the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "audit_due",
        sa.Column("change", _TEXT, primary_key=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("cause", _TEXT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("audit_due")

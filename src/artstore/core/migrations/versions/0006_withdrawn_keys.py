"""Signing keys that were withdrawn, and the revocation of all that one of them has signed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0004"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("signing_keys", sa.Column("withdrawn_at", sa.BigInteger()))
    op.add_column("revocations", sa.Column("key_id", _TEXT))


def downgrade() -> None:
    op.drop_column("revocations", "key_id")
    op.drop_column("signing_keys", "withdrawn_at")

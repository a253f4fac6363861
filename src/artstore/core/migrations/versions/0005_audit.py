"""The audit log: records in their chain, the sealed end of it, and the signed checkpoints.

``record`` is what counts; the columns beside it repeat what records are looked for by.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0003"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TIME = sa.BigInteger()
# SQLite makes a column the table's own key only when it is called INTEGER, of any width.
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("outcome", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("actor", _TEXT),
        sa.Column("client_address", _TEXT),
        sa.Column("request_id", _TEXT),
        sa.Column("resource", _TEXT),
        sa.Column("record", _TEXT, nullable=False),
        sa.Column("mac", _TEXT, nullable=False),
        sa.UniqueConstraint("source", "sequence"),
    )
    op.create_index("audit_log_occurred_at", "audit_log", ["occurred_at"])
    op.create_index("audit_log_actor", "audit_log", ["actor", "position"])
    op.create_index("audit_log_request", "audit_log", ["request_id"])
    op.create_index("audit_log_resource", "audit_log", ["resource"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("mac", _TEXT, nullable=False),
        sa.Column("seal", _TEXT, nullable=False),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("element_id", _TEXT),
        sa.Column("document", _TEXT, nullable=False),
    )


def downgrade() -> None:
    for table in ("audit_checkpoints", "audit_head", "audit_log"):
        op.drop_table(table)

"""Revoked tokens; of accounts: limits, keys, former secrets, since when tokens count, use by day.

Revocations are numbered in the order of their transactions. The newest row is never removed, so that no
number is given twice.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TIME = sa.BigInteger()
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("id", _TEXT, nullable=False, unique=True),
        sa.Column("token_id", _TEXT),
        sa.Column("client_id", _TEXT),
        sa.Column("issued_before", _TIME),
        sa.Column("revoked_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.add_column("service_accounts", sa.Column("tokens_valid_from", _TIME))
    op.add_column("service_accounts", sa.Column("rate_limit", sa.BigInteger()))
    op.add_column("service_accounts", sa.Column("secret_history", _TEXT, nullable=False, server_default=""))
    op.add_column("service_accounts", sa.Column("jwks", _TEXT))
    op.add_column(
        "service_accounts",
        sa.Column("has_bound_tokens", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "used_assertions",
        sa.Column("client_id", _TEXT, primary_key=True),
        sa.Column("assertion_id", _TEXT, primary_key=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("used_assertions_expires_at", "used_assertions", ["expires_at"])
    op.create_table(
        "account_usage",
        sa.Column("account_id", _TEXT, primary_key=True),
        sa.Column("day", sa.BigInteger(), primary_key=True),
        sa.Column("tokens_issued", sa.BigInteger(), nullable=False),
        sa.Column("requests_refused", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("account_usage_day", "account_usage", ["day"])


def downgrade() -> None:
    op.drop_table("account_usage")
    op.drop_table("used_assertions")
    for column in ("has_bound_tokens", "jwks", "secret_history", "rate_limit", "tokens_valid_from"):
        op.drop_column("service_accounts", column)
    op.drop_table("revocations")

"""The registry and index of files, elements, service accounts, signing keys and leases.

Times are microseconds since 1970-01-01 UTC. Text that is sorted or compared by range has the byte order
of UTF-8 on both engines. An index ends with ``row_id`` where its rows are wanted newest first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# SQLite makes a column the table's own key only when it is called INTEGER, of any width.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TIME = sa.BigInteger()


def upgrade() -> None:
    _create_files()
    _create_file_values()
    _create_elements()
    _create_service_accounts()
    _create_signing_keys()
    _create_leases()


def downgrade() -> None:
    for table in (
        "leases",
        "signing_keys",
        "service_accounts",
        "elements",
        "index_positions",
        "file_attributes",
        "file_tags",
        "file_sidecars",
        "files",
    ):
        op.drop_table(table)


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("row_id", _ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("file_id", _TEXT, nullable=False, unique=True),
        sa.Column("element_id", _TEXT, nullable=False),
        sa.Column("epoch", _TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("attributes_digest", _TEXT, nullable=False),
        sa.Column("filename_folded", _TEXT, nullable=False),
        sa.Column("file_extension", _TEXT, nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("content_type", _TEXT, nullable=False),
        sa.Column("checksum", _TEXT, nullable=False),
        sa.Column("description_digest", _TEXT),
        sa.Column("created_by_username", _TEXT, nullable=False),
        sa.Column("retention_policy", _TEXT, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    for column in (
        "element_id",
        "filename_folded",
        "file_extension",
        "file_size",
        "content_type",
        "checksum",
        "created_by_username",
        "retention_policy",
        "updated_at",
    ):
        op.create_index(f"files_{column}", "files", [column, "row_id"])
    op.create_index("files_epoch", "files", ["element_id", "epoch"])
    op.create_index(
        "files_description_digest",
        "files",
        ["description_digest", "row_id"],
        sqlite_where=sa.text("description_digest IS NOT NULL"),
        postgresql_where=sa.text("description_digest IS NOT NULL"),
    )


def _create_file_values() -> None:
    """What is kept of a file beside its narrow row, which searches walk over by the thousand."""
    op.create_table(
        "file_sidecars",
        sa.Column("row_id", _ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("attributes", _TEXT, nullable=False),
    )
    _create_multiple_values()


def _create_multiple_values() -> None:
    """What a file has many of. The key finds a row's values; the index finds rows by value."""
    op.create_table(
        "file_tags",
        sa.Column("row_id", sa.BigInteger(), primary_key=True),
        sa.Column("tag", _TEXT, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("file_tags_tag", "file_tags", ["tag", "row_id"])
    op.create_table(
        "file_attributes",
        sa.Column("row_id", sa.BigInteger(), primary_key=True),
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("value", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("file_attributes_value", "file_attributes", ["name", "value", "row_id"])


def _create_elements() -> None:
    op.create_table(
        "index_positions",
        sa.Column("element_id", _TEXT, primary_key=True),
        sa.Column("epoch", _TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_table(
        "elements",
        sa.Column("element_id", _TEXT, primary_key=True),
        sa.Column("url", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("mode", _TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("storage_type", _TEXT, nullable=False),
        sa.Column("capacity_total", sa.BigInteger()),
        sa.Column("capacity_free", sa.BigInteger()),
        sa.Column("capacity_status", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("last_seen_at", _TIME),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )


def _create_service_accounts() -> None:
    op.create_table(
        "service_accounts",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("client_id", _TEXT, nullable=False, unique=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("role", _TEXT),
        sa.Column("scopes", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("is_system", sa.Boolean(), nullable=False),
        sa.Column("secret_hash", _TEXT, nullable=False),
        sa.Column("secret_created_at", _TIME, nullable=False),
        sa.Column("secret_expires_at", _TIME),
        sa.Column("previous_secret_hash", _TEXT),
        sa.Column("previous_secret_until", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
    )
    op.create_index(
        "service_accounts_name",
        "service_accounts",
        ["name"],
        unique=True,
        sqlite_where=sa.text("status <> 'deleted'"),
        postgresql_where=sa.text("status <> 'deleted'"),
    )


def _create_signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", _TEXT, primary_key=True),
        sa.Column("algorithm", _TEXT, nullable=False),
        sa.Column("public_jwk", _TEXT, nullable=False),
        sa.Column("private_key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("signs_from", _TIME, nullable=False),
        sa.Column("signs_until", _TIME),
        sa.Column("expires_at", _TIME),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("holder", _TEXT, nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )

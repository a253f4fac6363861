"""The plugin author's kit: a contract to prove per kind of plugin, and fakes that pass them."""

# ruff: noqa: E402 - pytest explains a failed assertion only in modules named before their import.
import pytest

pytest.register_assert_rewrite(
    "artstore.core.testing.auth",
    "artstore.core.testing.batches",
    "artstore.core.testing.cache",
    "artstore.core.testing.database",
    "artstore.core.testing.search_index",
    "artstore.core.testing.secrets",
    "artstore.core.testing.storage",
)

from artstore.core.testing.auth import AuthContract
from artstore.core.testing.batches import AtomicBatchContract
from artstore.core.testing.bodies import body
from artstore.core.testing.cache import CacheContract
from artstore.core.testing.context import plugin_context
from artstore.core.testing.database import DatabaseContract
from artstore.core.testing.fakes import MemoryStorage
from artstore.core.testing.issuer import IssuerServer, TokenMint, issuer_server
from artstore.core.testing.search_index import SearchIndexContract
from artstore.core.testing.secrets import PutSecret, SecretsContract, SecretWriterContract
from artstore.core.testing.storage import StorageContract, read

__all__ = [
    "AtomicBatchContract",
    "AuthContract",
    "CacheContract",
    "DatabaseContract",
    "IssuerServer",
    "MemoryStorage",
    "PutSecret",
    "SearchIndexContract",
    "SecretWriterContract",
    "SecretsContract",
    "StorageContract",
    "TokenMint",
    "body",
    "issuer_server",
    "plugin_context",
    "read",
]

"""The plugin author's kit: a contract to prove per kind of plugin, fakes that pass them, and faults."""

# ruff: noqa: E402 - pytest explains a failed assertion only in modules named before their import.
import pytest

pytest.register_assert_rewrite(
    "artstore.core.testing.auth",
    "artstore.core.testing.cache",
    "artstore.core.testing.database",
    "artstore.core.testing.search_index",
    "artstore.core.testing.secret_rotation",
    "artstore.core.testing.secrets",
    "artstore.core.testing.storage",
)

from artstore.core.testing.auth import AuthContract
from artstore.core.testing.bodies import body
from artstore.core.testing.cache import CacheContract
from artstore.core.testing.context import plugin_context
from artstore.core.testing.database import DatabaseContract
from artstore.core.testing.fakes import MemoryStorage
from artstore.core.testing.faulty_storage import Fault, FaultyStorage, down, no_fault
from artstore.core.testing.issuer import IssuerServer, TokenMint, issuer_server
from artstore.core.testing.search_index import SearchIndexContract
from artstore.core.testing.secret_rotation import SecretRotation, SecretRotationContract
from artstore.core.testing.secrets import PutSecret, SecretsContract, SecretWriterContract
from artstore.core.testing.storage import (
    AtomicBatchContract,
    PresignerContract,
    PutStrangers,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    StorageSubject,
    StrangersContract,
    UnreliableMedium,
    UnreliableMediumContract,
    listed,
    read,
)

__all__ = [
    "AtomicBatchContract",
    "AuthContract",
    "CacheContract",
    "DatabaseContract",
    "Fault",
    "FaultyStorage",
    "IssuerServer",
    "MemoryStorage",
    "PresignerContract",
    "PutSecret",
    "PutStrangers",
    "SearchIndexContract",
    "SecretRotation",
    "SecretRotationContract",
    "SecretWriterContract",
    "SecretsContract",
    "StorageBudgetContract",
    "StorageConcurrencyContract",
    "StorageContract",
    "StorageCrashContract",
    "StorageLieContract",
    "StorageOpening",
    "StorageSubject",
    "StrangersContract",
    "TokenMint",
    "UnreliableMedium",
    "UnreliableMediumContract",
    "body",
    "down",
    "issuer_server",
    "listed",
    "no_fault",
    "plugin_context",
    "read",
]

"""What every storage back end must do, in levels: tests that its author runs by overriding a fixture."""

from artstore.core.testing.storage.batches import AtomicBatchContract
from artstore.core.testing.storage.behaviour import StorageContract
from artstore.core.testing.storage.budget import StorageBudgetContract
from artstore.core.testing.storage.concurrency import StorageConcurrencyContract
from artstore.core.testing.storage.crash import StorageCrashContract
from artstore.core.testing.storage.lies import StorageLieContract
from artstore.core.testing.storage.medium import UnreliableMedium, UnreliableMediumContract
from artstore.core.testing.storage.opening import StorageOpening
from artstore.core.testing.storage.presigner import PresignerContract
from artstore.core.testing.storage.strangers import PutStrangers, StrangersContract
from artstore.core.testing.storage.subject import StorageSubject, listed, read

__all__ = [
    "AtomicBatchContract",
    "PresignerContract",
    "PutStrangers",
    "StorageBudgetContract",
    "StorageConcurrencyContract",
    "StorageContract",
    "StorageCrashContract",
    "StorageLieContract",
    "StorageOpening",
    "StorageSubject",
    "StrangersContract",
    "UnreliableMedium",
    "UnreliableMediumContract",
    "listed",
    "read",
]

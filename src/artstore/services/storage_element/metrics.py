"""What a storage element measures of itself."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.capacity import CapacityStatus
from artstore.core.exchange import Capacity
from artstore.core.http.problems import PROBLEM_TYPES
from artstore.core.inspection import ConsistencyStatus, FindingKind, RebuildStatus, SidecarFault
from artstore.core.metrics import DURATION_BUCKETS
from artstore.core.spec import ArtStoreError, IncompleteBodyError, RequestTimeoutError
from artstore.services.storage_element.lease import RootLease

FileOperation = Literal["upload", "download", "update", "delete"]
Outcome = Literal["done", "refused", "aborted", "failed"]

_ABORTED: Final = (IncompleteBodyError, RequestTimeoutError, ConnectionError, asyncio.CancelledError)
_FIRST_SERVER_ERROR: Final = 500


class Measurement:
    """One operation under way; ``size`` is the number of bytes it moved."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class ElementMetrics:
    """Registers the element's numbers. Children are made once, because finding them costs more."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._capacity = self._gauge("capacity_bytes", "Space of the storage.", "kind")
        self._status = self._gauge("capacity_status", "1 for the present status, 0 for the others.", "status")
        self.wal_recovered = self._counter("wal_recovered", "Interrupted operations that were finished.")
        self.wal_rolled_back = self._counter("wal_rolled_back", "Interrupted operations that were undone.")
        self.wal_failed = self._counter(
            "wal_failed",
            "Interrupted operations whose outcome cannot be determined: what they left is unreadable.",
        )
        self.sidecars_unreadable = self._gauge(
            "sidecars_unreadable", "Sidecars that the last rebuild of the catalog could not read."
        )
        self._rebuilding = self._gauge(
            "catalog_rebuilding", "1 while a new catalog is built from the sidecars."
        )
        self._rebuild_sidecars = self._gauge(
            "catalog_rebuild_sidecars", "Sidecars that the last rebuild has looked at so far."
        )
        self._sidecars_left_out = self._gauge(
            "sidecars_left_out", "Sidecars that are not in the catalog since the last rebuild.", "fault"
        )
        self._checking = self._gauge("consistency_checking", "1 while storage and catalog are compared.")
        self._inconsistencies = self._gauge(
            "inconsistencies", "What the last comparison of storage and catalog found.", "kind"
        )
        self.job_failures = self._counter("job_failures", "Unexpected failures of background jobs.", "job")
        counts = self._counter("operations", "Operations on files.", "operation", "outcome")
        sizes = self._counter("operation_bytes", "Bytes of files that were received or sent.", "operation")
        durations = Histogram(
            "artstore_element_operation_duration_seconds",
            "Duration of an operation on a file.",
            ["operation"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._operations = {
            (operation, outcome): (
                counts.labels(operation, outcome),
                sizes.labels(operation),
                durations.labels(operation),
            )
            for operation in get_args(FileOperation)
            for outcome in get_args(Outcome)
        }

    def watch(
        self,
        *,
        files: Callable[[], float],
        journal_position: Callable[[], float],
        wal_pending: Callable[[], float],
        restores_queued: Callable[[], float],
    ) -> None:
        """Ask for these numbers whenever somebody wants to see them."""
        self._gauge("files", "Files that are not deleted.").set_function(files)
        self._gauge("journal_position", "The newest position of the journal.").set_function(journal_position)
        self._gauge("wal_pending", "Operations begun and not finished.").set_function(wal_pending)
        self._gauge("restores_queued", "Requests for archived data that wait for an operator.").set_function(
            restores_queued
        )

    def watch_lease(self, lease: RootLease) -> None:
        """As :meth:`watch`."""
        self._gauge("lease_held", "1 while this process may change the root.").set_function(
            lambda: lease.is_held
        )
        self._gauge("lease_fence", "Fence of the lease: the number of its takeover.").set_function(
            lambda: lease.fence
        )
        self._gauge("lease_failures", "Failed renewals of the lease since the start.").set_function(
            lambda: lease.failures
        )

    def show_capacity(self, capacity: Capacity) -> None:
        """Space that the storage does not know is not shown."""
        for kind in ("total", "used", "free"):
            size: int | None = getattr(capacity, kind)
            if size is not None:
                self._capacity.labels(kind).set(size)
        for status in get_args(CapacityStatus):
            self._status.labels(status).set(status == capacity.status)

    def show_rebuild(self, status: RebuildStatus) -> None:
        """How far it has come."""
        self._rebuilding.set(status.state == "running")
        self._rebuild_sidecars.set(status.sidecars)
        self.sidecars_unreadable.set(status.faults.get("unreadable", 0))
        for fault in get_args(SidecarFault):
            self._sidecars_left_out.labels(fault).set(status.faults.get(fault, 0))

    def show_consistency(self, status: ConsistencyStatus) -> None:
        """What the last check has found so far."""
        self._checking.set(status.state == "running")
        for kind in get_args(FindingKind):
            self._inconsistencies.labels(kind).set(status.totals.get(kind, 0))

    @contextmanager
    def measure(self, operation: FileOperation) -> Generator[Measurement, None, None]:
        """Count and time what happens inside."""
        measurement = Measurement()
        started = time.perf_counter()
        outcome: Outcome = "done"
        try:
            yield measurement
        except BaseException as error:
            outcome = _outcome(error)
            raise
        finally:
            count, size, duration = self._operations[operation, outcome]
            count.inc()
            size.inc(measurement.size)
            duration.observe(time.perf_counter() - started)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"artstore_element_{name}", documentation, labels, registry=self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"artstore_element_{name}_total", documentation, labels, registry=self._registry)


def _outcome(error: BaseException) -> Outcome:
    """Whose fault it was: the client's, the connection's, or ours."""
    if isinstance(error, _ABORTED):
        return "aborted"
    if isinstance(error, ArtStoreError) and PROBLEM_TYPES[type(error)].status < _FIRST_SERVER_ERROR:
        return "refused"
    return "failed"

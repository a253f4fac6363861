"""What the ingester measures."""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.http.problems import is_server_error
from artstore.core.spec import ArtStoreError

Outcome = Literal["stored", "known", "refused", "failed"]
RegistrationOutcome = Literal["registered", "failed", "skipped"]

# Seconds. Choosing is arithmetic, unless another element has to be asked for first.
SELECTION_BUCKETS: Final = (0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1, 5)


class IngesterMetrics:
    """Numbers of one ingester. Children are kept, because ``labels()`` costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        uploads = Counter(
            "artstore_ingester_uploads_total",
            "Uploads by what became of them: stored, known (stored before), refused, failed.",
            ["outcome"],
            registry=registry,
        )
        self._uploads = {outcome: uploads.labels(outcome) for outcome in get_args(Outcome)}
        self.size = Counter(
            "artstore_ingester_upload_bytes_total", "Bytes of stored files.", registry=registry
        )
        self.active = Gauge("artstore_ingester_uploads_active", "Uploads in progress.", registry=registry)
        self.retries = Counter(
            "artstore_ingester_retries_total",
            "Uploads sent to another storage element because one refused them.",
            registry=registry,
        )
        selection = Histogram(
            "artstore_ingester_selection_duration_seconds",
            "Time to choose the storage elements for an upload.",
            ["outcome"],
            buckets=SELECTION_BUCKETS,
            registry=registry,
        )
        self._found, self._none = selection.labels("found"), selection.labels("none")
        registrations = Counter(
            "artstore_ingester_registrations_total",
            "Registrations of files at admin, by outcome; files that are not registered are found through "
            "the journal.",
            ["outcome"],
            registry=registry,
        )
        self.registrations = {
            outcome: registrations.labels(outcome) for outcome in get_args(RegistrationOutcome)
        }
        self.breaker = Gauge(
            "artstore_ingester_breaker_open",
            "Whether admin is not called for a while (1) because it did not answer.",
            registry=registry,
        )

    @contextmanager
    def upload(self) -> Generator[None, None, None]:
        """Count an upload that is under way, and one that fails."""
        self.active.inc()
        try:
            yield
        except ArtStoreError as error:
            self._uploads["failed" if is_server_error(error) else "refused"].inc()
            raise
        finally:
            self.active.dec()

    def note_stored(self, size: int, *, is_new: bool) -> None:
        """Count an upload that was acknowledged."""
        self._uploads["stored" if is_new else "known"].inc()
        if is_new:
            self.size.inc(size)

    @contextmanager
    def selection(self) -> Generator[None, None, None]:
        """Time a choice."""
        started = perf_counter()
        try:
            yield
        except ArtStoreError:
            self._none.observe(perf_counter() - started)
            raise
        self._found.observe(perf_counter() - started)

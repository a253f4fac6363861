"""What the query role measures."""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from artstore.core.http.problems import is_server_error
from artstore.core.metrics import DURATION_BUCKETS
from artstore.core.search import SearchMode
from artstore.core.spec import ArtStoreError

SearchOutcome = Literal["answered", "refused", "failed"]
LookupSource = Literal["memory", "index"]
DownloadOutcome = Literal["sent", "not_modified", "restoring", "refused", "failed", "aborted"]


class QueryMetrics:
    """Numbers of one query role. Children are kept, because ``labels()`` costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        searches = Histogram(
            "artstore_query_search_duration_seconds",
            "Time of a search, with the wait for a position if one was asked for.",
            ["mode", "outcome"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._searches = {
            (mode, outcome): searches.labels(mode, outcome)
            for mode in get_args(SearchMode)
            for outcome in get_args(SearchOutcome)
        }
        downloads = Counter(
            "artstore_query_downloads_total",
            "Downloads by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self._downloads = {outcome: downloads.labels(outcome) for outcome in get_args(DownloadOutcome)}
        self.download_bytes = Counter(
            "artstore_query_download_bytes_total", "Bytes of files that were sent.", registry=registry
        )
        self.download_ranges = Counter(
            "artstore_query_download_ranges_total",
            "Downloads of ranges instead of whole files.",
            registry=registry,
        )

        lookups = Counter(
            "artstore_query_location_lookups_total",
            "Lookups of the storage element of a file, by where it was found: memory, index.",
            ["source"],
            registry=registry,
        )
        self._lookups = {source: lookups.labels(source) for source in get_args(LookupSource)}

    def note_lookup(self, source: LookupSource) -> None:
        """Count a look-up."""
        self._lookups[source].inc()

    @contextmanager
    def search(self, mode: SearchMode) -> Generator[None, None, None]:
        """Time a search."""
        started = perf_counter()
        outcome: SearchOutcome = "answered"
        try:
            yield
        except ArtStoreError as error:
            outcome = "failed" if is_server_error(error) else "refused"
            raise
        finally:
            self._searches[mode, outcome].observe(perf_counter() - started)

    @contextmanager
    def download(self) -> Generator["DownloadMeasurement", None, None]:
        """Count a download."""
        measurement = DownloadMeasurement()
        try:
            yield measurement
        except ArtStoreError as error:
            measurement.outcome = "failed" if is_server_error(error) else "refused"
            raise
        finally:
            self._downloads[measurement.outcome].inc()
            self.download_bytes.inc(measurement.size)


class DownloadMeasurement:
    """One download under way: ``aborted`` until it is known how it ends."""

    __slots__ = ("outcome", "size")

    def __init__(self) -> None:
        self.outcome: DownloadOutcome = "aborted"
        self.size = 0

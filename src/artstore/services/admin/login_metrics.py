"""What is measured of people who log in."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from artstore.core.spec import (
    ArtStoreError,
    ForbiddenError,
    LockedOutError,
    LoginRefusedError,
    PasswordExpiredError,
)

_OUTCOMES: Final[dict[type[ArtStoreError], str]] = {
    LoginRefusedError: "refused",
    LockedOutError: "locked_out",
    PasswordExpiredError: "password_expired",
    ForbiddenError: "disabled",
}


class LoginMetrics:
    """Logins by how they end: a rise of those refused is somebody who guesses."""

    def __init__(self, registry: CollectorRegistry) -> None:
        logins = Counter(
            "artstore_logins_total", "Attempts of people to log in.", ["outcome"], registry=registry
        )
        self._logins = {
            outcome: logins.labels(outcome) for outcome in ("succeeded", "failed", *_OUTCOMES.values())
        }
        # Seconds. A login is one slow hash of a tenth of a second; what is above waited for others.
        self._duration = Histogram(
            "artstore_login_duration_seconds",
            "Time from a login to its answer, refusals included.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )

    @contextmanager
    def observe(self) -> Generator[None, None, None]:
        """Count and time one login by how it ends."""
        started = time.perf_counter()
        outcome = "failed"
        try:
            yield
            outcome = "succeeded"
        except ArtStoreError as error:
            outcome = _OUTCOMES.get(type(error), outcome)
            raise
        finally:
            self._logins[outcome].inc()
            self._duration.observe(time.perf_counter() - started)

"""What admin measures of its signing keys."""

import time
from collections.abc import Callable, Sequence
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from artstore.services.admin.key_models import KeyState
from artstore.services.admin.signing_keys import LoadedKey

STATES: Final = tuple(state for state in get_args(KeyState) if state not in ("expired", "withdrawn"))


class KeyMetrics:
    """Keys by state, the age of the one that signs, and how rotations went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._keys = Gauge(
            "artstore_signing_keys", "Signing keys that are published.", ["state"], registry=registry
        )
        self._age = Gauge(
            "artstore_signing_key_age_seconds",
            "Seconds for which the present signing key has been signing.",
            registry=registry,
        )
        self.rotations = Counter(
            "artstore_signing_key_rotations_total",
            "Signing keys that were replaced, and attempts that failed.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("success", "failure"):
            self.rotations.labels(outcome)

    def watch(self, loaded: Callable[[], Sequence[LoadedKey]]) -> None:
        """Count these keys whenever somebody asks."""
        for state in STATES:
            self._keys.labels(state).set_function(_counter(loaded, state))
        self._age.set_function(lambda: _age(loaded()))


def _counter(loaded: Callable[[], Sequence[LoadedKey]], state: KeyState) -> Callable[[], float]:
    return lambda: sum(key.state == state for key in loaded())


def _age(keys: Sequence[LoadedKey]) -> float:
    began = [key.row.signs_from.timestamp() for key in keys if key.state == "signing"]
    return max(0.0, time.time() - max(began)) if began else 0.0

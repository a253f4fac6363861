"""Whom a client calls: each is left alone for a moment when it does not answer."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from aiohttp import ClientConnectorError, ConnectionTimeoutError
from prometheus_client import Gauge

from artstore.core.client.breaker import Breaker
from artstore.core.client.errors import AuthenticationError
from artstore.core.client.networks import origin_of
from artstore.core.spec import UnavailableError

TRIALS: Final = 5
"""Calls in a row without an answer before a target is left alone."""
PAUSE: Final = 1.0
"""Seconds: who comes back is found soon, who does not costs a call per second and not one per request."""


class Targets:
    """The breakers of those that did not answer their last call. Whoever answers is forgotten."""

    def __init__(self, left_alone: Gauge) -> None:
        self._left_alone = left_alone
        self._breakers: dict[str, Breaker] = {}
        left_alone.set_function(lambda: sum(breaker.is_open for breaker in self._breakers.values()))

    @contextmanager
    def called(self, url: str, *, is_stream: bool) -> Generator[None, None, None]:
        """Call ``url`` inside this context, which an ``UnavailableError`` leaves when nobody answers.

        Raises:
            UnavailableError: the target has not answered several times in a row, just now.
        """
        target = origin_of(url)
        breaker = self._breakers.get(target)
        if breaker is not None and not breaker.may_try():
            raise UnavailableError("another role does not answer; it is left alone for a moment")
        try:
            yield
        except AuthenticationError:
            raise
        except UnavailableError as error:
            if _is_of_target(error, is_stream=is_stream):
                self._breakers.setdefault(target, Breaker(pause=PAUSE, trials=TRIALS)).note_failure()
            raise
        self._breakers.pop(target, None)


def _is_of_target(error: UnavailableError, *, is_stream: bool) -> bool:
    """A stream may also break off because of who sends it; only a connection that cannot be made is sure."""
    return not is_stream or isinstance(error.__cause__, ClientConnectorError | ConnectionTimeoutError)

"""Whom a client calls: each is left alone for a moment when it does not answer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientConnectorError, ConnectionTimeoutError
from prometheus_client import Gauge

from artstore.core.client.breaker import Breaker
from artstore.core.client.networks import origin_of
from artstore.core.spec import UnavailableError

_NOT_CONNECTED: Final = (ClientConnectorError, ConnectionTimeoutError)


class Targets:
    """The breakers of those that did not answer their last call. Whoever answers is forgotten."""

    def __init__(self, left_alone: Gauge) -> None:
        self._breakers: dict[str, Breaker] = {}
        left_alone.set_function(lambda: sum(breaker.is_open for breaker in self._breakers.values()))

    @asynccontextmanager
    async def called(
        self, url: str, *, may_break_off: bool, left: float | None
    ) -> AsyncGenerator[None, None]:
        """Call ``url`` inside this context, which an ``UnavailableError`` leaves when nobody answers.

        ``may_break_off``: because of who calls; then only a connection that cannot be made is held against
        the target. Whoever has ``left`` seconds (``None``: any) may have to wait for some of them first.

        Raises:
            UnavailableError: the target has not answered several times in a row, just now.
        """
        target = origin_of(url)
        breaker = self._breakers.get(target)
        if breaker is not None and not await breaker.may_try_within(left):
            raise UnavailableError("another role does not answer; it is left alone for a moment")
        try:
            yield
        except UnavailableError as error:
            if not may_break_off or isinstance(error.__cause__, _NOT_CONNECTED):
                self._breakers.setdefault(target, Breaker()).note_failure()
            elif breaker is not None:
                breaker.give_up()
            raise
        except BaseException:
            if breaker is not None:
                breaker.give_up()
            raise
        if (healed := self._breakers.pop(target, None)) is not None:
            healed.note_success()  # whoever waits for it goes on

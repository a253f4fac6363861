"""Liveness and readiness: whether the process runs, and whether it can do its work."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from prometheus_client import Gauge
from pydantic import BaseModel, Field

from artstore import __version__
from artstore.core.spec import ArtStoreError

CHECK_TIMEOUT = 5.0
Status = Literal["ok", "degraded", "fail"]
Probe = Callable[[], Awaitable[str]]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service: str
    version: str = __version__
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC))


class CheckResult(BaseModel):
    """What one check found."""

    status: Status
    detail: str


class Readiness(BaseModel):
    """Whether the role can do its work: ``fail`` when something it needs is missing, ``degraded`` when
    something it can do without for a while is.
    """

    status: Status
    service: str
    version: str = __version__
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC))
    checks: dict[str, CheckResult]


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency to look at. ``probe`` returns a short detail and raises when it is down."""

    name: str
    probe: Probe
    required: bool = True


class Health:
    """The checks of one application. Resources add theirs when they are opened."""

    def __init__(self, *, service: str, dependency_up: Gauge) -> None:
        self._service = service
        self._dependency_up = dependency_up
        self._checks: list[Check] = []

    def add(self, name: str, probe: Probe, *, required: bool = True) -> None:
        """Look at ``name`` from now on."""
        self._checks.append(Check(name, probe, required))

    def live(self) -> Liveness:
        """The process answers."""
        return Liveness(service=self._service)

    async def ready(self) -> Readiness:
        """Run every check, all at once, each within five seconds."""
        results = await asyncio.gather(*(self._run(check) for check in self._checks))
        checks = {check.name: result for check, result in zip(self._checks, results, strict=True)}
        found = {result.status for result in results}
        status: Status = "fail" if "fail" in found else "degraded" if "degraded" in found else "ok"
        return Readiness(status=status, service=self._service, checks=checks)

    async def _run(self, check: Check) -> CheckResult:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                detail = await check.probe()
            status: Status = "ok"
        except Exception as error:  # whatever it is, the answer says that this one is down
            detail = error.detail if isinstance(error, ArtStoreError) else type(error).__name__
            status = "fail" if check.required else "degraded"
        self._dependency_up.labels(check.name).set(status == "ok")
        return CheckResult(status=status, detail=detail)

"""The page of metrics, from the registries of running applications."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import RoleName, Settings
from artstore.core.keys import METRICS
from docs.generator.markdown import codes, table

INTRODUCTION: Final = """\
Served by every role at `/metrics` in the Prometheus text format. Base units; the values of labels are closed
sets. Metrics of plugins are those of the embedded default."""


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as ``/metrics`` names it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str


def page() -> Iterator[str]:
    """One table; what several roles have is in it once."""
    yield "# Metrics"
    yield INTRODUCTION
    roles: dict[Described, list[str]] = {}
    for role in ROLES:
        for metric in asyncio.run(_metrics(role)):
            roles.setdefault(metric, []).append(role)
    yield table(
        ("metric", "type", "labels", "roles", "meaning"),
        (
            (f"`{metric.name}`", metric.kind, codes(metric.labels), ", ".join(names), metric.documentation)
            for metric, names in sorted(roles.items(), key=lambda item: item[0].name)
        ),
    )


async def _metrics(role: RoleName) -> list[Described]:
    """Resources register metrics of their own when they are opened."""
    with tempfile.TemporaryDirectory() as directory:
        app = await asyncio.to_thread(make_app, role, Settings(base_directory=Path(directory)))
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            return list(_described(app[METRICS].registry))
        finally:
            await runner.cleanup()


def _described(registry: CollectorRegistry) -> Iterator[Described]:
    """Neither the collectors of a registry nor the labels of a collector have a public listing."""
    collectors: Iterable[object] = vars(registry)["_collector_to_names"]
    for collector in (each for each in collectors if isinstance(each, MetricWrapperBase)):
        for metric in collector.describe():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            yield Described(name, metric.type, vars(collector)["_labelnames"], metric.documentation)

"""Structured logs: JSON lines, or coloured text on a terminal; every line carries the request id."""

import logging
import sys
from typing import Any, Literal, cast

import orjson
import structlog

from artstore.core.spec import Logger

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logging(*, log_format: LogFormat = "auto", level: LogLevel = "info") -> None:
    """Send every log line to standard error, also those of libraries that use :mod:`logging`.

    ``auto`` writes text when standard error is a terminal and JSON otherwise.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
        if not as_json
        else [*_shared_processors(), structlog.processors.format_exc_info, _json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if as_json
        else structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(as_json=as_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Each request is logged once, by our own access log.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def get_logger(name: str, **facts: Any) -> Logger:
    """A logger whose lines carry ``source=name`` and ``facts``."""
    return cast("Logger", structlog.get_logger(source=name, **facts))


def _shared_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


def _renderers(*, as_json: bool) -> list[structlog.typing.Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # The default shows the local variables of every frame, and so tokens and secrets.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _json(logger: object, method: str, event: structlog.typing.EventDict) -> bytes:
    return orjson.dumps(event, default=str)

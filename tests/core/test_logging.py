"""Log lines as they are written to standard error."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from artstore.core.logging import LogFormat, configure_logging, get_logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Configuring logging is global: what was before comes back."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_shows_the_code_and_no_values(
    capfd: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    configure_logging(log_format=log_format)

    def crash(client_secret: str) -> None:
        raise RuntimeError(f"of {len(client_secret)} characters")

    try:
        crash("ars_" + "x" * 8)
    except RuntimeError:
        get_logger("test").error("crashed", exc_info=True)

    told = capfd.readouterr().err
    assert "of 12 characters" in told
    assert "in crash" in told
    assert "xxxxxxxx" not in told

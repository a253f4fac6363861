"""`python -m docs.generator [DIRECTORY]`: writes the generated pages, into `docs/reference` by default.

The test suite fails when the committed pages differ from what this writes.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from artstore.core.logging import configure_logging
from docs.generator import (
    command_line,
    configuration,
    errors,
    http_api,
    metrics,
    modes,
    permissions,
    plugin_api,
    scopes,
)

REFERENCE: Final = Path(__file__).parents[1] / "reference"
NOTICE: Final = "<!-- Written by docs/generator from the code: change the code, not this page. -->\n"

PAGES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "command-line.md": command_line.page,
    "configuration.md": configuration.page,
    "errors.md": errors.page,
    "http-api.md": http_api.page,
    "metrics.md": metrics.page,
    "modes.md": modes.page,
    "permissions.md": permissions.page,
    "plugin-api.md": plugin_api.page,
    "scopes.md": scopes.page,
}


def main() -> None:
    """Write every page."""
    configure_logging(level="error")
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE
    for name, page in PAGES.items():
        paragraphs = [NOTICE, *page()]
        (directory / name).write_text("\n".join(each.strip("\n") + "\n" for each in paragraphs))


main()

"""Where things are in this repository."""

from configparser import ConfigParser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "artstore"
PLUGINS: Final = SOURCE / "plugins"
EXAMPLE: Final = ROOT / "examples" / "artstore-storage-memory"


def setup_cfg() -> ConfigParser:
    """What is shipped: metadata, extras, entry points."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def bundled_plugins() -> list[str]:
    """The names of the plugins in this distribution: their folders."""
    return sorted(path.name for path in PLUGINS.iterdir() if (path / "__init__.py").exists())

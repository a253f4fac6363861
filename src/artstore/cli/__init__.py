"""`artstore …`: the command line, the only place that joins services, registry and plugins."""

from artstore.cli.main import main

__all__ = ["main"]

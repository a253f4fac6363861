"""``python -m artstore`` is ``artstore``."""

from artstore.cli import main

main()

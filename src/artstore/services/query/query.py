"""What the handlers of this role work with."""

from dataclasses import dataclass

from artstore.services.query.files import Files
from artstore.services.query.searches import Searches


@dataclass(frozen=True, slots=True)
class Query:
    """The parts of this role."""

    searches: Searches
    files: Files

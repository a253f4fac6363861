"""ArtStore keeps documents for decades on behalf of other applications."""

__version__ = "0.1.0"

"""Where a benchmark works, and how much of everything it does."""

from dataclasses import dataclass
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. ``seconds`` are those of one sample of small requests."""

    repeats: int
    seconds: float
    large_uploads: int
    indexed_files: int
    searches: int
    memory_file_size: int
    scrubbed_files: int
    scrubbed_size: int

    @classmethod
    def full(cls) -> "Scale":
        """What the published figures are measured with."""
        return cls(
            repeats=5,
            seconds=4.0,
            large_uploads=4,
            indexed_files=100_000,
            searches=100,
            memory_file_size=1024 * MIB,
            scrubbed_files=5_000,
            scrubbed_size=800 * MIB,
        )

    @classmethod
    def quick(cls) -> "Scale":
        """Enough to see a large regression."""
        return cls(
            repeats=3,
            seconds=1.0,
            large_uploads=1,
            indexed_files=5_000,
            searches=20,
            memory_file_size=256 * MIB,
            scrubbed_files=1_000,
            scrubbed_size=200 * MIB,
        )


@dataclass(frozen=True, slots=True)
class Workplace:
    """An empty directory, which is removed afterwards, and the scale."""

    directory: Path
    scale: Scale

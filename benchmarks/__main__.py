"""Runs benchmarks by name: ``python -m benchmarks [NAME …] [--quick] [--directory DIR]``."""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import (
    auditing,
    downloads,
    large_uploads,
    memory,
    observing,
    rebuild,
    s3,
    scrub,
    search,
    sidecars,
    small_uploads,
    tls,
    tokens,
    verification,
)
from benchmarks.tables import console
from benchmarks.workplace import Scale, Workplace

BENCHMARKS: Final[Mapping[str, Callable[[Workplace], None]]] = {
    "sidecars": sidecars.run,
    "tokens": tokens.run,
    "verification": verification.run,
    "small-uploads": small_uploads.run,
    "large-uploads": large_uploads.run,
    "downloads": downloads.run,
    "memory": memory.run,
    "scrub": scrub.run,
    "search": search.run,
    "rebuild": rebuild.run,
    "s3": s3.run,
    "tls": tls.run,
    "audit": auditing.run,
    "metrics": observing.run,
}


def main() -> None:
    arguments = _arguments()
    scale = Scale.quick() if arguments.quick else Scale.full()
    console.print(f"{os.cpu_count()} cores; each figure is the median of {scale.repeats} interleaved repeats")
    # Nothing is removed before the end: ext4 without a journal passes over the inodes of files that were
    # removed in the last minutes, one by one, for each new file.
    with tempfile.TemporaryDirectory(prefix="artstore-bench-", dir=arguments.directory) as directory:
        for name in arguments.names or BENCHMARKS:
            place = Path(directory, name)
            place.mkdir()
            BENCHMARKS[name](Workplace(place, scale))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="less of everything: coarse, in two minutes")
    parser.add_argument("--directory", type=Path, help="a directory on the disk to measure")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()

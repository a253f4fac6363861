"""Measures contenders in turn, so that a noisy minute hits all of them, and compares each with the limit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.tables import console, print_table


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: units per second, and processor seconds per unit of whoever served them.

    ``slow`` is the 99th percentile of the seconds that a unit took, where that was measured.
    """

    rate: float
    cpu: float
    slow: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is measured. ``aim`` is the least part of the limit that it should reach."""

    name: str
    measure: Callable[[], Sample]
    aim: float | None = None


def compare(
    title: str,
    *,
    unit: str,
    limit: Contender,
    contenders: Sequence[Contender],
    repeats: int,
    settle: Callable[[], None],
) -> Mapping[str, Sequence[Sample]]:
    """Measure ``limit`` and every contender ``repeats`` times, one after the other, and print a table.

    Gives the samples by name, in the order of the repeats. ``settle`` is called before each sample: it waits
    until nothing of the one before is still at work.
    """
    everybody = (limit, *contenders)
    samples: dict[str, list[Sample]] = {each.name: [] for each in everybody}
    with console.status(title) as status:
        for repeat in range(1, repeats + 1):
            for each in everybody:
                status.update(f"{title}: {each.name}, {repeat} of {repeats}")
                settle()
                samples[each.name].append(each.measure())
    columns = ("", f"{unit}/s", "spread", f"CPU ms/{unit}", "p99 ms", "of the limit", "spread", "aim")
    print_table(title, columns, [_row(each, samples[each.name], samples[limit.name]) for each in everybody])
    return samples


def _row(contender: Contender, samples: Sequence[Sample], limits: Sequence[Sample]) -> tuple[str, ...]:
    rates = [sample.rate for sample in samples]
    # Each sample against the limit's of the same round: both had the same minute.
    ratios = [sample.rate / limit.rate for sample, limit in zip(samples, limits, strict=True)]
    return (
        contender.name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}–{max(rates):,.0f}",
        f"{median(sample.cpu for sample in samples) * 1000:.2f}",
        _slowest(samples),
        f"{median(ratios):.2f}",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        "" if contender.aim is None else f"≥ {contender.aim}",
    )


def _slowest(samples: Sequence[Sample]) -> str:
    slow = [sample.slow for sample in samples if sample.slow is not None]
    return f"{median(slow) * 1000:.1f}" if slow else ""

"""The statistics of the benchmarks: those of the comparison, over samples by block."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from isolate.compare.stats import paired_ratios, ratio_interval

__all__ = ["Ratio", "median", "ratio"]


class Ratio(NamedTuple):
    """A ratio and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(ours: list[list[float]], theirs: list[list[float]]) -> Ratio:
    """How much longer `ours` takes than `theirs`: samples by block, which share the machine's mood.

    The median of the blocks' own ratios of medians, and its interval; whole blocks are what is
    resampled, because samples within one aren't independent. Raises ValueError where none has both.
    """
    found = ratio_interval(
        paired_ratios(
            {block: median(samples) for block, samples in enumerate(ours)},
            {block: median(samples) for block, samples in enumerate(theirs)},
        )
    )
    if found is None:
        raise ValueError("no block has samples of both")
    return Ratio(found.estimate, found.low, found.high)

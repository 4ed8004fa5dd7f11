"""The statistics of the benchmarks: medians, and ratios with an interval. The one seam to them."""

from __future__ import annotations

import random
from statistics import median
from typing import NamedTuple

__all__ = ["Ratio", "median", "ratio"]

_RESAMPLES = 4000
_TAIL = 0.025


class Ratio(NamedTuple):
    """A ratio and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(ours: list[list[float]], theirs: list[list[float]]) -> Ratio:
    """How much longer `ours` takes than `theirs`: samples by block, which share the machine's mood.

    The median of the blocks' own ratios of medians; the interval is that of a bootstrap of whole
    blocks (percentile method), because samples within a block aren't independent.
    """
    pairs = [median(a) / median(b) for a, b in zip(ours, theirs, strict=True)]
    chance = random.Random(1)  # noqa: S311 - the same interval for the same data
    again = sorted(median(chance.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return Ratio(
        median(pairs), again[int(_RESAMPLES * _TAIL)], again[int(_RESAMPLES * (1 - _TAIL)) - 1]
    )

"""The statistics of paired trials: ratios, their interval and test, equivalence, warning signs.

Standard library only (importing scipy.stats takes longer than a launch), and usable apart from the
comparison: every function takes plain numbers. What is random is seeded.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from functools import cache
from itertools import accumulate
from statistics import median, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONFIDENCE = 0.95
RESAMPLES = 10_000
FLIPS = 10_000
MARGIN = 0.05  # within this of the baseline there is no difference worth a word

# Student's t for 95%, by the number of values.
_STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
_DRIFT_Z = 3.29  # two-sided 0.1%: hundreds of rows are looked at
_DRIFT_SIZE = 0.05
_FEWEST_FOR_DRIFT = 10
_SEPARATION = 5.5  # Ashman's D; one normal mode cut in two has 2.7, a uniform one 3.5
_MINORITY = 0.2
_FEWEST_FOR_MODES = 20


class Interval:
    """An estimate with the ends of its confidence interval."""

    __slots__ = ("estimate", "high", "low")

    def __init__(self, estimate: float, low: float, high: float) -> None:
        self.estimate = estimate
        self.low = low
        self.high = high

    @property
    def halfwidth(self) -> float:
        """The distance to the farther end."""
        return max(self.high - self.estimate, self.estimate - self.low)

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside, the ends included."""
        return self.low <= value <= self.high

    def __repr__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def paired_ratios(values: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """Value / baseline for each block that has both, in the order of the blocks.

    A block's trials lie close in time: what slows the whole host for a while divides out. Where
    either isn't above zero there is no ratio.
    """
    both = sorted(values.keys() & baseline.keys())
    return [
        values[block] / baseline[block] for block in both if min(baseline[block], values[block]) > 0
    ]


def paired_differences(values: Mapping[int, float], others: Mapping[int, float]) -> list[float]:
    """Value - other for each block that has both, in the order of the blocks."""
    return [values[block] - others[block] for block in sorted(values.keys() & others.keys())]


def median_interval(
    values: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """The median with its bootstrap interval, the blocks being what is resampled; None for none.

    Percentiles of the resamples' medians, widened to the order statistics whose coverage holds for
    every distribution (the sign test, inverted): at few blocks the bootstrap alone is too narrow.
    Fewer than 6 values have no such order statistics; theirs is widened to Student's interval. One
    value has no interval.
    """
    if len(values) < 2:
        return None
    ordered = sorted(values)
    medians = sorted(
        (ordered[low] + ordered[high]) / 2
        for low, high in _median_ranks(len(ordered), resamples, seed)
    )
    cut = int((1 - confidence) / 2 * resamples)
    rank = _sign_rank(len(ordered), confidence)
    student = _STUDENT.get(len(ordered), 0.0) * stdev(ordered) / math.sqrt(len(ordered))
    return Interval(
        median(ordered),
        min(medians[cut], ordered[rank], median(ordered) - student),
        max(medians[-1 - cut], ordered[-1 - rank], median(ordered) + student),
    )


def ratio_interval(ratios: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The same for ratios, by their logarithms: a half is as far from 1 as two."""
    found = median_interval([math.log(one) for one in ratios], seed=seed)
    if found is None:
        return None
    return Interval(*(math.exp(end) for end in (found.estimate, found.low, found.high)))


@cache
def _median_ranks(count: int, resamples: int, seed: int) -> list[tuple[int, int]]:
    """For each resample of `count` values the ranks of the two in its middle (one, if odd).

    Drawing with replacement is drawing uniform numbers and taking the value at each one's rank, so
    the middle of a resample is drawn at once: order statistics of uniform numbers are
    beta-distributed (David & Nagaraja, Order Statistics, 2.1). That is `count` times less work.
    """
    draw = random.Random(seed)  # noqa: S311 - resampling, no secret
    lower = (count + 1) // 2
    found = []
    for _ in range(resamples):
        first = second = draw.betavariate(lower, count - lower + 1)
        if count % 2 == 0:  # the next one: the least of the rest, which are uniform above it
            second = first + (1 - first) * (1 - draw.random() ** (1 / (count - lower)))
        found.append((min(int(first * count), count - 1), min(int(second * count), count - 1)))
    return found


@cache
def _sign_rank(count: int, confidence: float) -> int:
    """The greatest rank r by which [r-th least, r-th greatest] covers the median as often."""
    rank, outside = 0, 0.5**count
    while rank + 1 < count / 2:
        outside += math.comb(count, rank + 1) * 0.5**count
        if 2 * outside > 1 - confidence:
            break
        rank += 1
    return rank


def sign_flip_p(differences: Sequence[float], *, flips: int = FLIPS, seed: int = 0) -> float:
    """The p-value of "the differences (logarithms of ratios) are as often below zero as above".

    Where nothing differs, each difference might have had the other sign. The statistic is the sum
    of the signed ranks, so that one outlier has one rank's weight; its distribution comes from
    random signs. Never below 1 / (flips + 1).
    """
    told = [value for value in differences if value != 0]
    if not told:
        return 1.0
    ranks = _midranks([abs(value) for value in told])
    seen = abs(sum(rank if value > 0 else -rank for rank, value in zip(ranks, told, strict=True)))
    tables = [_sums(ranks[start : start + 8]) for start in range(0, len(ranks), 8)]
    draw = random.Random(seed)  # noqa: S311 - resampling, no secret
    beyond = sum(
        abs(sum(table[byte % len(table)] for table, byte in zip(tables, signs, strict=True)))
        >= seen - 1e-9
        for signs in (draw.randbytes(len(tables)) for _ in range(flips))
    )
    return (beyond + 1) / (flips + 1)


def _sums(ranks: Sequence[float]) -> list[float]:
    """The sum of `ranks` for every choice of their signs."""
    sums = [0.0]
    for rank in ranks:
        sums = [*(one - rank for one in sums), *(one + rank for one in sums)]
    return sums


def _midranks(values: Sequence[float]) -> list[float]:
    """The rank of each, from 1; equal ones share the mean of theirs."""
    ordered = sorted(values)
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 for value in values
    ]


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): reject those that stay below the level."""
    order = sorted(range(len(values)), key=values.__getitem__)
    scaled = (min(1.0, values[place] * (len(values) - i)) for i, place in enumerate(order))
    corrected = [0.0] * len(values)
    for place, value in zip(order, accumulate(scaled, max), strict=True):
        corrected[place] = value
    return corrected


def is_equivalent(interval: Interval, *, margin: float = MARGIN) -> bool:
    """Whether the whole interval of a ratio lies within `margin` of 1: no difference, shown."""
    return 1 - margin <= interval.low and interval.high <= 1 + margin


def has_drift(values: Sequence[float]) -> bool:
    """Whether the values rise or fall from block to block (Mann-Kendall), by more than 5%."""
    count = len(values)
    if count < _FEWEST_FOR_DRIFT:
        return False
    score = sum(_sign(later - value) for i, value in enumerate(values) for later in values[i + 1 :])
    spread = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    begun, ended = median(values[: count // 2]), median(values[count // 2 :])
    return abs(score) / spread > _DRIFT_Z and abs(ended - begun) > _DRIFT_SIZE * abs(begun)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def is_bimodal(values: Sequence[float]) -> bool:
    """Whether the values are two heaps, far apart and both large: their median is then neither.

    Ashman's D of the cut that leaves the least variance within the heaps.
    """
    count = len(values)
    least = max(2, math.ceil(_MINORITY * count))
    if count < _FEWEST_FOR_MODES:
        return False
    ordered = sorted(values)
    sums = [0.0, *accumulate(ordered)]
    squares = [0.0, *accumulate(value * value for value in ordered)]

    def heap(start: int, end: int) -> tuple[int, float, float]:
        """Size, mean and variance of a part."""
        size = end - start
        mean = (sums[end] - sums[start]) / size
        return size, mean, max(0.0, (squares[end] - squares[start]) / size - mean * mean)

    cuts = ((heap(0, cut), heap(cut, count)) for cut in range(least, count - least + 1))
    below, above = min(cuts, key=lambda pair: pair[0][0] * pair[0][2] + pair[1][0] * pair[1][2])
    apart, within = above[1] - below[1], math.sqrt(below[2] + above[2])
    return apart > 0 and math.sqrt(2) * apart > _SEPARATION * within


def percentile(values: Iterable[float], percent: float) -> float:
    """The least of `values` that `percent` of them don't exceed (nearest rank); at least one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

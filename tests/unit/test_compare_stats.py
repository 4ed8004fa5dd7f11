"""The statistics, on data whose truth is known: coverage, false alarms, power, warning signs."""

from __future__ import annotations

import math
import random
from statistics import median
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.compare import stats

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 1000


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - simulated data


def lognormal(draw: random.Random) -> float:
    return math.exp(draw.gauss(0, 0.1))


def heavy(draw: random.Random) -> float:
    """One trial in ten meets a busy host."""
    return math.exp(draw.gauss(0, 0.05) * (1 if draw.random() < 0.9 else 10))


def skewed(draw: random.Random) -> float:
    """As startup times are: a floor, and a tail above it; its median is 1."""
    return 1 + 0.1 * (draw.expovariate(1) - math.log(2))


@pytest.mark.parametrize("count", [3, 5, 10, 30])
@pytest.mark.parametrize("noise", [lognormal, heavy, skewed])
def test_the_interval_covers_the_truth_in_95_percent(
    noise: Callable[[random.Random], float], count: int
) -> None:
    draw = seeded(count)
    covered = 0
    for seed in range(RUNS):
        found = stats.ratio_interval([1.3 * noise(draw) for _ in range(count)], seed=seed % 5)
        assert found is not None
        covered += found.contains(1.3)
    # 95% less three standard deviations of 1,000 runs; few blocks have more than they promise.
    assert 0.93 <= covered / RUNS <= (0.999 if count < 30 else 0.985)


def test_an_aa_comparison_alarms_as_rarely_as_it_should() -> None:
    """The baseline against itself: both of a block have its noise in common, and their own."""
    draw = seeded(7)
    alarms = differences = 0
    for seed in range(RUNS):
        weather = [math.exp(draw.gauss(0, 0.5)) for _ in range(30)]
        one = {block: here * lognormal(draw) for block, here in enumerate(weather)}
        other = {block: here * lognormal(draw) for block, here in enumerate(weather)}
        ratios = stats.paired_ratios(one, other)
        interval = stats.ratio_interval(ratios, seed=seed % 5)
        assert interval is not None
        alarms += not interval.contains(1)
        if seed < 300:
            p = stats.sign_flip_p([math.log(value) for value in ratios], flips=1000, seed=seed)
            differences += p < 0.05
    assert 0.015 <= alarms / RUNS <= 0.07
    assert 0.01 <= differences / 300 <= 0.09


def test_pairs_find_what_the_weather_hides() -> None:
    """10% more, below a noise of 50% that both of a block share."""
    draw = seeded(3)
    weather = [math.exp(draw.gauss(0, 0.5)) for _ in range(30)]
    base = {block: here * math.exp(draw.gauss(0, 0.03)) for block, here in enumerate(weather)}
    slow = {block: 1.1 * here * math.exp(draw.gauss(0, 0.03)) for block, here in enumerate(weather)}
    ratios = stats.paired_ratios(slow, base)
    found = stats.ratio_interval(ratios)
    assert found is not None
    assert found.estimate == pytest.approx(1.1, abs=0.03)
    assert found.low > 1.05
    assert stats.sign_flip_p([math.log(value) for value in ratios]) < 0.001


def test_a_resamples_median_is_drawn_as_by_resampling() -> None:
    """The shortcut through order statistics against the long way, quantile by quantile."""
    values = sorted(seeded(1).gauss(10, 1) for _ in range(12))
    draw = seeded(2)
    long = sorted(median(draw.choices(values, k=12)) for _ in range(20_000))
    short = sorted(
        (values[low] + values[high]) / 2 for low, high in stats._median_ranks(12, 20_000, 3)
    )
    for part in (0.025, 0.1, 0.5, 0.9, 0.975):
        place = int(part * 20_000)
        assert short[place] == pytest.approx(long[place], abs=0.12)


def test_one_seed_gives_one_result() -> None:
    values = [seeded(5).gauss(1, 0.2) for _ in range(20)]
    first, second = (stats.median_interval(values, seed=9) for _ in range(2))
    assert str(first) == str(second)
    differences = [value - 1 for value in values]
    assert stats.sign_flip_p(differences, seed=9) == stats.sign_flip_p(differences, seed=9)


@pytest.mark.parametrize("values", [[], [2.0]])
def test_what_has_no_spread_has_no_interval(values: list[float]) -> None:
    assert stats.median_interval(values) is None
    assert stats.ratio_interval(values) is None


def test_two_values_have_a_wide_one() -> None:
    found = stats.median_interval([1.0, 2.0])
    assert found is not None
    assert found.low < -4
    assert found.high > 7


def test_ratios_pair_the_same_block_and_drop_the_lonely() -> None:
    assert stats.paired_ratios({1: 4.0, 2: 9.0, 5: 1.0}, {2: 3.0, 1: 2.0, 7: 1.0}) == [2.0, 3.0]
    assert stats.paired_ratios({1: 4.0}, {1: 0.0}) == []
    assert stats.paired_differences({1: 4.0, 2: 9.0}, {2: 3.0, 3: 1.0}) == [6.0]


def test_sign_flips_of_few_are_counted_right() -> None:
    """Of five differences with one sign, 2 in 32 flips are as far out."""
    assert stats.sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 32, abs=0.01)
    assert stats.sign_flip_p([0.0, 0.0]) == 1.0
    assert stats.sign_flip_p([]) == 1.0


def test_holm_by_the_book() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.6, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lessens_and_keeps_the_order(values: list[float]) -> None:
    corrected = stats.holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [corrected[place] for place in order] == sorted(corrected)


def test_no_difference_is_the_whole_interval_inside_5_percent() -> None:
    assert stats.is_equivalent(stats.Interval(1.0, 0.96, 1.04))
    assert not stats.is_equivalent(stats.Interval(1.0, 0.94, 1.01))
    assert not stats.is_equivalent(stats.Interval(1.02, 1.0, 1.06))


def test_drift_is_seen_and_noise_is_not() -> None:
    draw = seeded(11)
    rising = [1 + 0.02 * block + draw.gauss(0, 0.05) for block in range(30)]
    assert stats.has_drift(rising)
    assert stats.has_drift(rising[::-1])
    slight = [1 + 0.0005 * block for block in range(30)]
    assert not stats.has_drift(slight), "less than 5% is no drift"
    alarms = sum(stats.has_drift([lognormal(draw) for _ in range(30)]) for _ in range(RUNS))
    assert alarms / RUNS < 0.01
    assert not stats.has_drift([1.0, 2.0, 3.0])


def test_two_heaps_are_seen_and_one_is_not() -> None:
    draw = seeded(12)
    both = [draw.gauss(1 if block % 3 else 2, 0.05) for block in range(30)]
    assert stats.is_bimodal(both)
    for noise in (lognormal, heavy, skewed):
        alarms = sum(stats.is_bimodal([noise(draw) for _ in range(30)]) for _ in range(RUNS))
        assert alarms / RUNS < 0.02
    assert not stats.is_bimodal([1.0] * 30)
    outlier = [draw.gauss(1, 0.05) for _ in range(29)] + [9.0]
    assert not stats.is_bimodal(outlier), "one outlier is no heap"


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2), (75, 3), (95, 4), (100, 4)])
def test_percentiles_by_nearest_rank(percent: float, expected: float) -> None:
    assert stats.percentile([4, 1, 3, 2], percent) == expected

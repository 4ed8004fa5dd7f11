"""What trials make of samples: rows with ratios, intervals, corrected tests, and warnings."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from isolate.compare import stats
from isolate.compare.document import AGAIN, MetricRow, PriceRow
from isolate.probe.subject import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isolate.compare.trials import Column, Task

UNTRUSTED, DRIFT, BIMODAL, FEW = "a/a", "drift", "bimodal", "few samples"
_ENOUGH = 6  # pairs below which no interval of 95% can be had of a median
_OFTEN = 0.05


def rows_of(tasks: Sequence[Task], seed: int) -> list[MetricRow]:
    """A row for each series and subject; the p-values are corrected for their number."""
    rows = [row for task in tasks for row in _rows(task, seed)]
    for control in (True, False):  # the A/A controls are a family of their own
        tested = [
            i
            for i, row in enumerate(rows)
            if row.p is not None and (row.backend == AGAIN) == control
        ]
        corrected = stats.holm([rows[i].p or 0.0 for i in tested])
        for i, p in zip(tested, corrected, strict=True):
            rows[i] = rows[i].replace(p=p)
    return rows


def _rows(task: Task, seed: int) -> Iterator[MetricRow]:
    for series in task.series:
        names = [name for row, name in task.columns if row == series]
        control = stats.ratio_interval(task.ratios(series, AGAIN), seed=seed)
        distrusted = control is not None and not control.contains(1.0)
        for name in names:
            yield _row(task, series, name, seed, distrusted=distrusted)


def _row(task: Task, series: str, name: str, seed: int, *, distrusted: bool) -> MetricRow:
    column, described = task.columns[series, name], task.series[series]
    samples = tuple(column.samples[block] for block in sorted(column.samples))
    ratios = [] if name == HOST else task.ratios(series, name)
    interval = stats.ratio_interval(ratios, seed=seed)
    flags = list(_flags(samples, ratios, distrusted=distrusted))
    return MetricRow(
        metric=series,
        summary=described.summary,
        backend=name,
        unit=described.unit,
        better=described.better,
        samples=samples,
        blocks=tuple(sorted(column.samples)),
        failures=tuple(column.failures),
        median=median(samples) if samples else None,
        ratio=interval.estimate if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=stats.sign_flip_p([math.log(one) for one in ratios], seed=seed) if ratios else None,
        same=stats.is_equivalent(interval) if interval and len(ratios) >= _ENOUGH else None,
        flags=tuple(flags),
        note=_note(column, samples),
    )


def _flags(samples: Sequence[float], ratios: Sequence[float], *, distrusted: bool) -> Iterator[str]:
    if stats.has_drift(samples):
        yield DRIFT
    if stats.is_bimodal(samples):
        yield BIMODAL
    if ratios and len(ratios) < _ENOUGH:
        yield FEW
    if distrusted:
        yield UNTRUSTED


def _note(column: Column, samples: Sequence[float]) -> str | None:
    if column.note is not None or samples:
        return column.note
    if column.untold:
        return "it can't be told of this one"
    return column.failures[0] if column.failures else "not reached"


def warnings_of(rows: Sequence[MetricRow]) -> list[str]:
    """What the A/A controls say of this run.

    An interval of 95% excludes the truth once in twenty, so single alarms are told with their
    number; more of them than chance gives mean that the whole run can't be trusted.
    """
    controls = [row for row in rows if row.backend == AGAIN and row.low is not None]
    alarms = [row.metric for row in controls if UNTRUSTED in row.flags]
    if not alarms:
        return []
    chance = _at_least(len(alarms), len(controls))
    if chance < _OFTEN:
        text = (
            f"this run can't be trusted: the baseline differs from itself in {len(alarms)} of "
            f"{len(controls)} metrics ({', '.join(alarms)}); measure again on a quieter host"
        )
    else:
        text = (
            f"the baseline differs from itself in {', '.join(alarms)}: what is said of that can't "
            "be trusted in this run (one metric in twenty does so by chance; here "
            f"{len(alarms)} of {len(controls)})"
        )
    return [text]


def _at_least(count: int, trials: int) -> float:
    """The chance of so many alarms at 5% each."""
    return sum(
        math.comb(trials, k) * _OFTEN**k * (1 - _OFTEN) ** (trials - k)
        for k in range(count, trials + 1)
    )


def price_row(task: Task, series: str, *, whole: str, less: str, layer: str, seed: int) -> PriceRow:
    """What a layer costs: `whole` less the subject without the layer, block by block."""
    with_it, without = task.columns[series, whole], task.columns[series, less]
    interval = stats.median_interval(
        stats.paired_differences(with_it.samples, without.samples), seed=seed
    )
    return PriceRow(
        backend=whole,
        layer=layer,
        metric=series,
        difference=interval.estimate if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        unit=task.series[series].unit,
        note=_note(without, tuple(without.samples.values())) if interval is None else None,
    )

"""Figures as people read them: three digits and a unit, ratios, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare.document import AGAIN

if TYPE_CHECKING:
    from isolate.compare.document import MetricRow

NONE = "–"  # not measured

_STEPS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    "B/s": ((2**30, "GiB/s"), (2**20, "MiB/s"), (2**10, "KiB/s"), (1, "B/s")),
}


def quantity(value: float | None, unit: str) -> str:
    """A value with a unit of its size, three digits: 0.0123 s is `12.3 ms`."""
    if value is None:
        return NONE
    for size, name in _STEPS.get(unit, ()):
        if abs(value) >= size:
            return f"{digits(value / size)} {name}"
    return f"{digits(value)} {unit}"


def digits(value: float) -> str:
    """Three significant digits, without an exponent where it isn't tiny."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if 0 < size < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def ratio(row: MetricRow) -> str:
    """As in `×1.52 [1.48, 1.57]`; `~` before it where that is no difference."""
    if row.ratio is None:
        return NONE
    same = "~ " if row.same else ""
    interval = ""
    if row.low is not None and row.high is not None:
        interval = f" [{digits(row.low)}, {digits(row.high)}]"
    return f"{same}×{digits(row.ratio)}{interval}"


def label(name: str) -> str:
    """A subject's name as readers should see it: the control says what it is."""
    return f"{AGAIN} (A/A)" if name == AGAIN else name


def by_metric(rows: tuple[MetricRow, ...]) -> dict[str, list[MetricRow]]:
    """The rows of each metric, in the document's order."""
    found: dict[str, list[MetricRow]] = {}
    for row in rows:
        found.setdefault(row.metric, []).append(row)
    return found


def worth_drawing(rows: list[MetricRow]) -> bool:
    """Whether a metric has anything to draw."""
    return any(row.median is not None for row in rows)

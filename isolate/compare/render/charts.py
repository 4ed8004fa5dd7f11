"""Charts as plain data: where each mark lies. The page's templates draw them as SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from isolate.compare.render.figures import label, quantity, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.compare.document import Comparison, MetricRow
    from isolate.compare.render.matrix import Matrix

WIDTH = 520.0  # of the area in which marks lie, in SVG units
ROW = 22.0  # height of a row
_MARGIN = 0.06  # of the range, left free at both ends
_STARTUP = "startup"
_TICKS = 7  # on one axis


class LogScale:
    """Positions of positive values, equal ratios being equally far apart."""

    def __init__(self, values: Iterable[float], width: float = WIDTH) -> None:
        logs = [math.log10(value) for value in values if value > 0] or [0.0]
        low, high = min(logs), max(logs)
        if high - low < 0.1:
            low, high = low - 0.1, high + 0.1
        room = (high - low) * _MARGIN
        self._low, self._high, self._width = low - room, high + room, width

    def __call__(self, value: float) -> float:
        if value <= 0:
            return 0.0
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return round(part * self._width, 1)

    def ticks(self) -> list[float]:
        """Round values within the range, not more than seven."""
        low, high = 10**self._low, 10**self._high
        if high < 3 * low:
            return _even(low, high)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [
                step * 10.0**power
                for power in range(math.floor(self._low), math.ceil(self._high) + 1)
                for step in steps
                if low <= step * 10.0**power <= high
            ]
            if len(found) <= _TICKS:
                return found
        return found[:: math.ceil(len(found) / _TICKS)]


def _even(low: float, high: float) -> list[float]:
    """Round values at equal distances."""
    power = 10.0 ** math.floor(math.log10(high - low))
    for step in (power / 5, power / 2, power, 2 * power):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < _TICKS:
            return [number * step for number in range(first, last + 1)]
    return [low, high]


def intervals(rows: list[MetricRow]) -> dict[str, Any] | None:
    """The ratios to the baseline with their intervals, a row for each backend."""
    drawn = [row for row in rows if row.ratio is not None]
    if not drawn:
        return None
    bounds = [value for row in drawn for value in (row.low, row.ratio, row.high) if value]
    scale = LogScale([*bounds, 1.0])
    return {
        "height": ROW * len(drawn),
        "one": scale(1.0),
        "band": (scale(1 / 1.05), scale(1.05)),
        "ticks": [(scale(tick), f"×{tick:g}") for tick in scale.ticks()],
        "rows": [
            {
                "name": label(row.backend),
                "y": ROW * (number + 0.5),
                "x": scale(row.ratio or 0),
                "low": scale(row.low or row.ratio or 0),
                "high": scale(row.high or row.ratio or 0),
                "text": ratio(row),
            }
            for number, row in enumerate(drawn)
        ],
    }


def strips(rows: list[MetricRow]) -> dict[str, Any] | None:
    """Every sample of every backend, a strip for each: the shape that a median hides."""
    drawn = [(row, [value for value in row.samples if value]) for row in rows]
    drawn = [(row, values) for row, values in drawn if values]
    if not drawn:
        return None
    scale = LogScale(value for _, values in drawn for value in values)
    unit = drawn[0][0].unit
    return {
        "height": ROW * len(drawn),
        "ticks": [(scale(tick), quantity(tick, unit)) for tick in scale.ticks()],
        "rows": [
            {
                "name": label(row.backend),
                "y": ROW * (number + 0.5),
                "median": scale(row.median) if row.median else None,
                # Marks of equal values would hide one another: each is shifted, always the same.
                "marks": [
                    (scale(value), round(ROW * (number + 0.5 + ((7 * at) % 11 - 5) / 22), 1))
                    for at, value in enumerate(values)
                ],
                "text": f"{len(values)} samples, median {quantity(row.median, row.unit)}",
            }
            for number, (row, values) in enumerate(drawn)
        ],
    }


def trade(document: Comparison, matrix: Matrix) -> dict[str, Any] | None:
    """What each backend costs at the start against what was found exposed."""
    costs = {
        row.backend: row
        for row in document.metrics
        if row.metric == _STARTUP and row.ratio is not None and row.backend in matrix.backends
    }
    if not costs:
        return None
    scale = LogScale([row.ratio or 1.0 for row in costs.values()] + [1.0])
    counts = {name: len(matrix.exposed(name)) for name in costs}
    most = max(counts.values()) or 1
    height = 260.0
    points = [
        {
            "name": name,
            "x": scale(row.ratio or 0),
            "y": round(height - 20 - (height - 40) * counts[name] / most, 1),
            "text": f"{name}: {ratio(row)}, {counts[name]} exposed",
        }
        for name, row in costs.items()
    ]
    return {
        "height": height,
        "ticks": [(scale(tick), f"×{tick:g}") for tick in scale.ticks()],
        "levels": [
            (round(height - 20 - (height - 40) * level / most, 1), level)
            for level in sorted({0, most // 2, most})
        ],
        "points": _apart(points),
    }


def _apart(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each point's label a place of its own: the ones too near are moved down."""
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda one: (one["y"], one["x"])):
        place = point["y"]
        while any(abs(place - y) < 13 and abs(point["x"] - x) < 110 for x, y in taken):
            place += 13
        taken.append((point["x"], place))
        point["label"] = place
    return points

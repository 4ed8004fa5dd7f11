"""What a case found: samples with their unit, and the goals that were set beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import figures

if TYPE_CHECKING:
    from benchmarks.trials import Samples


class Result:
    """Samples by subject and block, goals, and remarks; `to_json` is what is stored."""

    def __init__(self, title: str, unit: str, samples: Samples | None = None) -> None:
        self.title = title
        self.unit = unit
        self.samples: Samples = samples or {}
        self.goals: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.rows: list[tuple[str, str]] = []

    def goal_ratio(self, text: str, ours: str, theirs: str, limit: float) -> None:
        """A goal: `ours` takes at most `limit` times as long as `theirs`; left out without them."""
        if ours in self.samples and theirs in self.samples:
            found = figures.ratio(self.samples[ours], self.samples[theirs])
            self._goal(text, found.value, limit, low=found.low, high=found.high)

    def goal_value(self, text: str, value: float, limit: float, unit: str) -> None:
        """A goal for one figure."""
        self._goal(text, value, limit, unit=unit)

    def _goal(self, text: str, value: float, limit: float, **more: Any) -> None:
        met = value <= limit
        self.goals.append({"goal": text, "value": value, "limit": limit, "met": met, **more})

    def median(self, subject: str) -> float:
        """The median over all samples of a subject."""
        return figures.median([value for block in self.samples[subject] for value in block])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "title": self.title,
            "unit": self.unit,
            "medians": {name: self.median(name) for name in self.samples},
            "goals": self.goals,
            "rows": self.rows,
            "remarks": self.remarks,
            "samples": self.samples,
        }


def milliseconds(samples: Samples) -> Samples:
    """Seconds as milliseconds."""
    return {
        name: [[value * 1e3 for value in block] for block in blocks]
        for name, blocks in samples.items()
    }

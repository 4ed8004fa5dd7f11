"""Differences between documents, and the gate that makes them a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolate.compare import file
from isolate.compare.diff import Difference, Gate
from isolate.compare.document import Comparison, MetricRow
from isolate.errors import IsolateError
from isolate.probe.model import Finding

V1 = Path(__file__).parent / "data" / "compare-v1.json"


def document(*rows: Finding | MetricRow) -> Comparison:
    """A comparison with these rows and no others."""
    return file.load(str(V1)).replace(
        probes=tuple(row for row in rows if isinstance(row, Finding)),
        metrics=tuple(row for row in rows if isinstance(row, MetricRow)),
    )


def finding(verdict: str, probe: str = "fs.x", backend: str = "b") -> Finding:
    return Finding(probe=probe, backend=backend, verdict=verdict, evidence="e", meaning="m")


def cost(ratio: float, low: float, high: float, *, better: str = "lower") -> MetricRow:
    return MetricRow(
        metric="m", backend="b", unit="s", better=better, ratio=ratio, low=low, high=high
    )


def failures(old: Comparison, new: Comparison, gate: str) -> list[str]:
    return Gate(gate).failures(Difference(old, new))


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        ("isolated", "exposed", True),
        ("vacuous", "exposed", True),
        ("error", "exposed", True),
        ("exposed", "exposed", False),
        ("exposed", "isolated", False),
        ("isolated", "error", False),
    ],
)
def test_newly_exposed_fails(old: str, new: str, fails: bool) -> None:
    found = failures(document(finding(old)), document(finding(new)), "exposed")
    assert found == (["fs.x is exposed in b"] if fails else [])


def test_a_new_probe_that_is_exposed_fails_too() -> None:
    new = document(finding("isolated"), finding("exposed", "fs.new"))
    assert failures(document(finding("isolated")), new, "exposed") == ["fs.new is exposed in b"]


def test_a_probe_that_went_away_is_told_and_a_backend_that_was_not_asked_is_not() -> None:
    old = document(
        finding("isolated"), finding("isolated", "fs.y"), finding("isolated", backend="c")
    )
    (verdict,) = Difference(old, document(finding("isolated"))).verdicts
    assert (verdict.probe, verdict.old, verdict.new) == ("fs.y", "isolated", None)


@pytest.mark.parametrize(
    ("old", "new", "better", "fails"),
    [
        ((2.0, 1.9, 2.1), (2.5, 2.4, 2.6), "lower", True),
        ((2.0, 1.9, 2.1), (2.05, 1.95, 2.15), "lower", False),  # the intervals overlap
        ((2.0, 1.99, 2.01), (2.06, 2.05, 2.07), "lower", False),  # certain, but 3%
        ((2.5, 2.4, 2.6), (2.0, 1.9, 2.1), "lower", False),  # faster
        ((0.5, 0.49, 0.51), (0.4, 0.39, 0.41), "higher", True),  # fewer a second
        ((0.4, 0.39, 0.41), (0.5, 0.49, 0.51), "higher", False),
        ((2.0, 0.5, 9.0), (4.0, 1.0, 18.0), "lower", False),  # nothing is known
    ],
)
def test_slower_fails_where_it_is_certain_and_large(
    old: tuple[float, float, float],
    new: tuple[float, float, float],
    better: str,
    fails: bool,
) -> None:
    before, after = (document(cost(*row, better=better)) for row in (old, new))
    assert bool(failures(before, after, "slower:5%")) is fails


def test_the_factor_says_how_many_times_worse() -> None:
    (change,) = Difference(document(cost(2, 1.9, 2.1)), document(cost(3, 2.9, 3.1))).changes
    assert change.factor == pytest.approx(1.5)
    assert change.low == pytest.approx(2.9 / 2.1)
    assert change.high == pytest.approx(3.1 / 1.9)
    assert change.is_certain


def test_conditions_are_combined_and_nothing_asked_is_nothing_failed() -> None:
    old = document(finding("isolated"), cost(2, 1.9, 2.1))
    new = document(finding("exposed"), cost(3, 2.9, 3.1))
    assert len(failures(old, new, "exposed,slower:10")) == 2
    assert failures(old, new, "") == []
    assert failures(old, new, "slower:60%") == []


@pytest.mark.parametrize(
    "text", ["luck", "exposed:1", "slower", "slower:", "slower:-5%", "slower:nan"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(IsolateError, match="--fail-on"):
        Gate(text)

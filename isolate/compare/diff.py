"""Two documents apart: verdicts that changed, costs that changed, and what a gate says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.probe.model import EXPOSED
from isolate.spec.record import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isolate.compare.document import Comparison, MetricRow


class Verdict:
    """A probe of a backend whose verdict isn't what it was; None where there was no such row."""

    __slots__ = ("backend", "evidence", "new", "old", "probe")

    def __init__(
        self, probe: str, backend: str, old: str | None, new: str | None, evidence: str
    ) -> None:
        self.probe = probe
        self.backend = backend
        self.old = old
        self.new = new
        self.evidence = evidence

    @property
    def exposes(self) -> bool:
        """Whether the host is reached where it wasn't, or wasn't looked at."""
        return self.new == EXPOSED and self.old != EXPOSED


class Change:
    """A metric of a backend: how many times its cost is what it was.

    The ratios to the bare host are compared, so that two hosts can be; `low` and `high` are the
    least and the most that both intervals allow. Above 1 is worse, whichever direction is better.
    """

    __slots__ = ("backend", "factor", "high", "low", "metric")

    def __init__(self, metric: str, backend: str, factor: float, low: float, high: float) -> None:
        self.metric = metric
        self.backend = backend
        self.factor = factor
        self.low = low
        self.high = high

    @property
    def is_certain(self) -> bool:
        """Whether the intervals lie apart."""
        return self.low > 1 or self.high < 1

    def is_slower(self, by: float) -> bool:
        """Whether it is worse by more than this part, and certainly worse at all."""
        return self.low > 1 and self.factor > 1 + by


class Difference:
    """What is different in the second document."""

    def __init__(self, old: Comparison, new: Comparison) -> None:
        self.verdicts = list(_verdicts(old, new))
        self.changes = list(_changes(old, new))


def _verdicts(old: Comparison, new: Comparison) -> Iterator[Verdict]:
    before = {(row.probe, row.backend): row for row in old.probes}
    after = {(row.probe, row.backend): row for row in new.probes}
    compared = {row.backend for row in new.probes}
    for key in {**before, **after}:
        was, now = before.get(key), after.get(key)
        if now is None and key[1] not in compared:
            continue  # that backend wasn't asked for
        verdicts = (was.verdict if was else None, now.verdict if now else None)
        if verdicts[0] != verdicts[1]:
            yield Verdict(*key, *verdicts, evidence=now.evidence if now else "")


def _changes(old: Comparison, new: Comparison) -> Iterator[Change]:
    before = {(row.metric, row.backend): row for row in old.metrics}
    for row in new.metrics:
        was = before.get((row.metric, row.backend))
        if was is not None and was.unit == row.unit:
            yield from _change(was, row)


def _change(was: MetricRow, now: MetricRow) -> Iterator[Change]:
    if None in (was.ratio, was.low, was.high, now.ratio, now.low, now.high):
        return
    worse = now.better == "lower"
    one, other = (now, was) if worse else (was, now)
    yield Change(
        now.metric,
        now.backend,
        (one.ratio or 0) / (other.ratio or 1),
        (one.low or 0) / (other.high or 1),
        (one.high or 0) / (other.low or 1),
    )


class Gate:
    """What makes a difference a failure: `exposed`, `slower:PERCENT%`, or both.

    Raises IsolateError for what isn't understood.
    """

    def __init__(self, text: str) -> None:
        self.exposed = False
        self.slower: float | None = None
        for word in filter(None, text.split(",")):
            name, colon, value = word.strip().partition(":")
            if name == "exposed" and not colon:
                self.exposed = True
            elif name == "slower" and value:
                self.slower = _part(value)
            else:
                raise IsolateError(f"--fail-on: {quoted(word)} is no condition", hint=_CONDITIONS)

    def failures(self, found: Difference) -> list[str]:
        """Why the difference doesn't pass, a line each."""
        lines = []
        if self.exposed:
            lines += [
                f"{one.probe} is exposed in {one.backend}" for one in found.verdicts if one.exposes
            ]
        if self.slower is not None:
            lines += [
                f"{one.metric} of {one.backend} is {one.factor:.3g} times what it was"
                for one in found.changes
                if one.is_slower(self.slower)
            ]
        return lines


_CONDITIONS = "allowed: exposed, slower:5%, and both with a comma between"


def _part(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise IsolateError(f"--fail-on: {quoted(text)} is no percentage", hint=_CONDITIONS)
    return value


def sections(found: Difference) -> Sequence[tuple[str, list[str], list[list[str]]]]:
    """Tables of it: title, headers, rows. Costs stand there where they certainly changed."""
    verdicts = [
        [one.probe, one.backend, one.old or "-", one.new or "-", one.evidence]
        for one in found.verdicts
    ]
    changes = [
        [one.metric, one.backend, f"x{one.factor:.3g} [{one.low:.3g}, {one.high:.3g}]"]
        for one in found.changes
        if one.is_certain
    ]
    return (
        ("VERDICTS", ["PROBE", "BACKEND", "WAS", "IS", "EVIDENCE"], verdicts),
        ("COSTS", ["METRIC", "BACKEND", "TIMES WHAT IT WAS"], changes),
    )

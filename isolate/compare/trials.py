"""Randomised interleaved trials: every subject once per block, until enough is known."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, TypeVar

from isolate.compare import stats
from isolate.compare.document import AGAIN
from isolate.compare.launch.client import FallenError
from isolate.errors import IsolateError
from isolate.probe.subject import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isolate.compare.bench import Bench
    from isolate.compare.metric import Metric, Series

_Item = TypeVar("_Item")

BLOCKS = 30  # at least, unless the budget is spent
MOST_BLOCKS = 100
NARROW = 0.025  # half the width of an interval that can show "no difference" within 5%
_STRIKES = 3  # failures in a row after which a metric of a subject is given up
_MOST_FAILURES = 20  # that are told of one row


class Plan:
    """How long to go on.

    Attributes:
        blocks: exactly so many; None: at least BLOCKS, then until the intervals are narrow.
        budget: seconds after which no new block begins; None: no bound.
        seed: of the order of the trials.
    """

    def __init__(
        self, *, blocks: int | None = None, budget: float | None = None, seed: int
    ) -> None:
        self.blocks = blocks
        self.budget = budget
        self.seed = seed


class Column:
    """What was measured of one series of one subject.

    Attributes:
        samples: by their block.
        failures: why samples are missing.
        note: why there are no more.
        untold: whether the metric had no value of this series for this subject.
        strikes: failures in a row.
    """

    def __init__(self) -> None:
        self.samples: dict[int, float] = {}
        self.failures: list[str] = []
        self.note: str | None = None
        self.untold = False
        self.strikes = 0

    def failed(self, block: int, why: str) -> None:
        """Keep a failure; the third in a row ends the trials."""
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(f"block {block}: {why}")
        self.strikes += 1
        if self.strikes == _STRIKES:
            self.note = f"given up after {_STRIKES} failures in a row: {why}"


class Task:
    """One metric with all its columns.

    Args:
        metric: the metric.
        series: its rows, by their names.
        names: the subjects.
    """

    def __init__(self, metric: Metric, series: Mapping[str, Series], names: Sequence[str]) -> None:
        self.metric = metric
        self.series = dict(series)
        self.columns = {(row, name): Column() for row in series for name in names}

    def of(self, name: str) -> list[Column]:
        """The columns of one subject."""
        return [column for (_row, owner), column in self.columns.items() if owner == name]

    def given_up(self, name: str) -> bool:
        """Whether nothing more is measured of this subject."""
        return any(column.note is not None for column in self.of(name))

    def ratios(self, row: str, name: str) -> list[float]:
        """The per-block ratios of a column to the baseline."""
        column, baseline = self.columns[row, name], self.columns[row, HOST]
        return stats.paired_ratios(column.samples, baseline.samples)

    def is_narrow(self) -> bool:
        """Whether every interval is narrow enough; never whether a difference shows."""
        return all(
            _narrow(self.ratios(row, name))
            for (row, name), column in self.columns.items()
            if name != HOST
            and not column.untold
            and not self.given_up(name)
            and not self.columns[row, HOST].untold
        )


def _narrow(ratios: Sequence[float]) -> bool:
    interval = stats.ratio_interval(ratios)
    return interval is not None and interval.halfwidth <= NARROW * interval.estimate


class Trials:
    """The trials of one comparison.

    Args:
        benches: the subjects; the bare baseline and its A/A control are among them.
        tasks: the metrics.
        plan: how long to go on.
        say: is told, before each trial, the block, the metric, the subject, and which part of all
            the trials is done, from 0 to 1.
    """

    def __init__(
        self,
        benches: Sequence[Bench],
        tasks: Sequence[Task],
        plan: Plan,
        say: Callable[[str, float], None] = lambda _text, _done: None,
    ) -> None:
        self._benches = list(benches)
        self._tasks = list(tasks)
        self._plan = plan
        self._say = say
        self._random = random.Random(plan.seed)  # noqa: S311 - an order, no secret
        self.fallen: dict[str, str] = {}
        self.blocks = 0

    def run(self) -> None:
        """Measure. An interruption (KeyboardInterrupt) passes through; what was measured stays."""
        began = time.monotonic()
        self._look()
        while self._goes_on(self.blocks, time.monotonic() - began):
            for task in self._shuffled([one for one in self._tasks if self._wants(one)]):
                for bench in self._shuffled(self._benches):
                    self._trial(task, bench, time.monotonic() - began)
            self.blocks += 1

    def _look(self) -> None:
        """Note what can't be measured of whom."""
        for task in self._tasks:
            for bench in self._benches:
                why = task.metric.unavailable(bench)
                for column in task.of(bench.name) if why else ():
                    column.note = why

    def _goes_on(self, block: int, seconds: float) -> bool:
        plan = self._plan
        if block and plan.budget is not None and seconds >= plan.budget:
            return False
        if block >= (plan.blocks or MOST_BLOCKS):
            return False
        return any(self._wants(task) for task in self._tasks)

    def _wants(self, task: Task) -> bool:
        """Whether a metric needs this block too."""
        if task.metric.blocks is not None and self.blocks >= task.metric.blocks:
            return False
        if self._plan.blocks is not None or self.blocks < BLOCKS:
            return True
        return not task.is_narrow()

    def _shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        return self._random.sample(list(items), len(items))

    def _trial(self, task: Task, bench: Bench, seconds: float) -> None:
        if bench.name in self.fallen or task.given_up(bench.name):
            return
        row = next(iter(task.series))
        self._say(f"block {self.blocks + 1}: {row} of {bench.name}", self._done(seconds))
        try:
            values = task.metric.sample(bench)
        except FallenError as error:
            self._fall(bench, f"{error} ({row}, block {self.blocks + 1})")
            _each_failed(task.of(bench.name), self.blocks, str(error))
        except (IsolateError, OSError) as error:
            _each_failed(task.of(bench.name), self.blocks, str(error))
        except Exception as error:  # noqa: BLE001 - a third party's metric may raise anything
            _each_failed(task.of(bench.name), self.blocks, f"a bug of the metric: {error!r}")
        else:
            self._keep(task, bench.name, values if not isinstance(values, float) else {row: values})

    def _keep(self, task: Task, name: str, values: Mapping[str, float]) -> None:
        for row in task.series:
            column, value = task.columns[row, name], values.get(row)
            if value is None or not math.isfinite(value):
                column.untold = True
            else:
                column.samples[self.blocks] = value
                column.strikes = 0

    def _fall(self, bench: Bench, why: str) -> None:
        """A subject that hangs or crashes is out, whatever else it could be asked."""
        if bench.name in (HOST, AGAIN):
            return
        self.fallen[bench.name] = why
        for column in (column for task in self._tasks for column in task.of(bench.name)):
            column.note = column.note or f"the backend fell out: {why}"
        bench.abandon()

    def _done(self, seconds: float) -> float:
        """The part of all that is done, by blocks or by the budget, whichever ends first."""
        whole = self._plan.blocks or BLOCKS
        parts = [self.blocks / whole]
        if self._plan.budget:
            parts.append(seconds / self._plan.budget)
        return min(1.0, max(parts))


def _each_failed(columns: Sequence[Column], block: int, why: str) -> None:
    for column in columns:
        column.failed(block, why)

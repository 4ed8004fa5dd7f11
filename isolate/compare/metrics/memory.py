"""Metrics of many containers at once: the memory that each takes, and how many there can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from isolate.compare.metric import Metric, Options, Series
from isolate.compare.stats import percentile

if TYPE_CHECKING:
    from isolate.compare.bench import Bench

_SETTLE = 0.2  # seconds in which the kernel's counters become true
_WINDOW = 20  # launches whose 95th percentile is looked at
_TAIL = 95


class Memory(Metric):
    """What is missing from MemAvailable for each of N idle containers, beside their PSS."""

    unit = "B"
    quick = False
    blocks = 10

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._count = 5 if options.quick else 20

    def series(self, name: str, summary: str) -> dict[str, Series]:
        pss = "proportional set size of each, with shims and virtual machines: a cross-check"
        return {name: Series(self.unit, summary), f"{name}.pss": Series(self.unit, pss)}

    def sample(self, bench: Bench) -> dict[str, float]:
        bench.hold()  # the first warms what all share
        try:
            before, pss_before = _settled(bench)
            for _ in range(self._count):
                bench.hold()
            after, pss_after = _settled(bench)
        finally:
            bench.release()
        found = {"memory": (before - after) / self._count}
        if pss_before is not None and pss_after is not None:
            found["memory.pss"] = (pss_after - pss_before) / self._count
        return found


def _settled(bench: Bench) -> tuple[int, int | None]:
    time.sleep(_SETTLE)
    return bench.memory()


class Density(Metric):
    """How many idle containers there are when startup's 95th percentile has doubled.

    Where it hasn't at `most`, that is the value: at least so many.
    """

    unit = "containers"
    better = "higher"
    quick = False
    blocks = 3
    most = 256

    def series(self, name: str, summary: str) -> dict[str, Series]:
        words = f"{summary}; {self.most} means at least so many"
        return {name: Series(self.unit, words, better=self.better)}

    def sample(self, bench: Bench) -> float:
        took: list[float] = []
        try:
            while len(took) < self.most and not self._doubled(took):
                took.append(bench.hold())
        finally:
            bench.release()
        return float(len(took))

    def _doubled(self, took: list[float]) -> bool:
        if len(took) < 2 * _WINDOW:
            return False
        first, last = took[:_WINDOW], took[-_WINDOW:]
        return percentile(last, _TAIL) >= 2 * percentile(first, _TAIL)

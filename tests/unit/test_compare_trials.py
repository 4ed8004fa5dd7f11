"""Trials: interleaved in seeded order, failures kept, the fallen left behind, an end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from isolate.compare.document import AGAIN
from isolate.compare.launch.client import FallenError
from isolate.compare.metric import Metric, Options, Series
from isolate.compare.rows import rows_of, warnings_of
from isolate.compare.trials import BLOCKS, MOST_BLOCKS, Plan, Task, Trials
from isolate.errors import IsolateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isolate.compare.bench import Bench

NAMES = ("host", AGAIN, "one", "two")


class Fake:
    """A bench that is nothing but its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True


class Scripted(Metric):
    """What the script says of a subject and the number of its trial."""

    unit = "s"

    def __init__(self, script: Callable[[str, int], float | Mapping[str, float]]) -> None:
        super().__init__(Options())
        self.script = script
        self.asked: list[str] = []

    def sample(self, bench: Bench) -> float | Mapping[str, float]:
        self.asked.append(bench.name)
        return self.script(bench.name, self.asked.count(bench.name) - 1)


class Ran:
    """Trials that have been run."""

    def __init__(
        self, script: Callable[[str, int], float | Mapping[str, float]], plan: Plan
    ) -> None:
        self.metric = Scripted(script)
        self.task = Task(self.metric, {"m": Series("s")}, NAMES)
        self.benches = [Fake(name) for name in NAMES]
        self.trials = Trials(cast("list[Bench]", self.benches), [self.task], plan)

    def run(self) -> Ran:
        self.trials.run()
        return self

    def samples(self, name: str) -> dict[int, float]:
        return self.task.columns["m", name].samples


def test_every_block_has_every_subject_once_in_a_random_order() -> None:
    ran = Ran(lambda _name, trial: 1.0 + trial, Plan(blocks=20, seed=4)).run()
    blocks = [ran.metric.asked[start : start + 4] for start in range(0, 80, 4)]
    assert all(sorted(block) == sorted(NAMES) for block in blocks)
    assert len({tuple(block) for block in blocks}) >= 8
    assert {block[0] for block in blocks} == set(NAMES)


def test_the_seed_decides_the_order() -> None:
    def order(seed: int) -> list[str]:
        return Ran(lambda _name, _trial: 1.0, Plan(blocks=5, seed=seed)).run().metric.asked

    assert order(1) == order(1) != order(2)


def test_failures_are_kept_and_the_pairs_of_their_blocks_left_out() -> None:
    def script(name: str, trial: int) -> float:
        if name == "one" and trial == 1:
            raise IsolateError("it rained")
        return 1.0 if name in ("host", AGAIN) else 3.0 + trial

    ran = Ran(script, Plan(blocks=4, seed=1)).run()
    column = ran.task.columns["m", "one"]
    assert column.failures == ["block 1: it rained"]
    assert sorted(column.samples) == [0, 2, 3]
    (row,) = [row for row in rows_of([ran.task], 1) if row.backend == "one"]
    assert row.blocks == (0, 2, 3)
    assert row.samples == (3.0, 5.0, 6.0)
    assert row.failures == ("block 1: it rained",)
    assert row.ratio == pytest.approx(5.0)


def test_three_failures_in_a_row_end_a_metric_of_one_subject_only() -> None:
    def script(name: str, _trial: int) -> float:
        if name == "one":
            raise OSError(28, "the disk is full")
        return 1.0

    ran = Ran(script, Plan(blocks=10, seed=1)).run()
    assert ran.metric.asked.count("one") == 3
    assert ran.metric.asked.count("two") == 10
    (row,) = [row for row in rows_of([ran.task], 1) if row.backend == "one"]
    assert "given up after 3 failures in a row" in str(row.note)
    assert row.median is None


def test_a_subject_that_hangs_falls_out_and_the_run_goes_on() -> None:
    def script(name: str, trial: int) -> float:
        if name == "two" and trial == 2:
            raise FallenError("it hangs")
        return 1.0

    ran = Ran(script, Plan(blocks=6, seed=1)).run()
    assert ran.trials.fallen == {"two": "it hangs (m, block 3)"}
    assert [bench.abandoned for bench in ran.benches] == [False, False, False, True]
    assert ran.metric.asked.count("two") == 3
    assert len(ran.samples("one")) == 6
    assert len(ran.samples("two")) == 2, "what was measured before stays"


def test_a_bug_of_a_metric_is_a_failure_and_no_crash() -> None:
    ran = Ran(lambda _name, _trial: 1 / 0, Plan(blocks=2, seed=1)).run()
    assert "a bug of the metric: ZeroDivisionError" in ran.task.columns["m", "host"].failures[0]


def test_what_is_not_finite_is_no_sample() -> None:
    ran = Ran(lambda _name, _trial: float("nan"), Plan(blocks=2, seed=1)).run()
    assert ran.samples("one") == {}


def test_an_interruption_passes_and_keeps_what_was_measured() -> None:
    def script(name: str, trial: int) -> float:
        if name == "one" and trial == 3:
            raise KeyboardInterrupt
        return 1.0

    ran = Ran(script, Plan(blocks=10, seed=1))
    with pytest.raises(KeyboardInterrupt):
        ran.run()
    assert len(ran.samples("one")) == 3
    assert len(ran.samples("host")) in (3, 4)


def test_narrow_intervals_end_it_after_30_blocks() -> None:
    ran = Ran(lambda _name, trial: 1.0 + trial % 3 / 100, Plan(seed=1)).run()
    assert ran.trials.blocks == BLOCKS


def test_wide_intervals_go_on_to_the_end() -> None:
    def script(name: str, trial: int) -> float:
        return 1.0 if name == "host" else 1.0 + trial % 7

    assert Ran(script, Plan(seed=1)).run().trials.blocks == MOST_BLOCKS


def test_significance_never_ends_it() -> None:
    """A difference that is plain at once, with a width that isn't narrow."""

    def script(name: str, trial: int) -> float:
        return 1.0 if name in ("host", AGAIN) else 50.0 + 9 * (trial % 9)

    assert Ran(script, Plan(seed=1)).run().trials.blocks == MOST_BLOCKS


def test_a_spent_budget_ends_it_after_the_first_block_at_the_earliest() -> None:
    assert Ran(lambda _name, _trial: 1.0, Plan(budget=0.0, seed=1)).run().trials.blocks == 1


def test_the_aa_control_tells_of_a_run_that_cannot_be_trusted() -> None:
    def script(name: str, trial: int) -> float:
        return (1.5 if name == AGAIN else 1.0) + trial % 5 / 100

    rows = rows_of([Ran(script, Plan(blocks=30, seed=1)).run().task], 1)
    assert all("a/a" in row.flags for row in rows)
    (warning,) = warnings_of(rows)
    assert "the baseline differs from itself in m" in warning
    quiet = rows_of([Ran(lambda _n, t: 1.0 + t % 5 / 100, Plan(blocks=30, seed=1)).run().task], 1)
    assert warnings_of(quiet) == []
    assert {row.backend: row.same for row in quiet} == {
        "host": None,
        AGAIN: True,
        "one": True,
        "two": True,
    }


def test_series_of_one_sample_fill_rows_of_their_own() -> None:
    metric = Scripted(lambda name, _trial: {"a": 1.0} if name == "one" else {"a": 2.0, "b": 4.0})
    task = Task(metric, {"a": Series("s"), "b": Series("B")}, NAMES)
    benches = cast("list[Bench]", [Fake(name) for name in NAMES])
    Trials(benches, [task], Plan(blocks=3, seed=1)).run()
    rows = {(row.metric, row.backend): row for row in rows_of([task], 1)}
    assert rows["a", "one"].ratio == pytest.approx(0.5)
    assert rows["b", "one"].median is None
    assert rows["b", "one"].note == "it can't be told of this one"
    assert rows["b", "two"].unit == "B"

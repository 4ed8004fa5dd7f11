"""Launches per second, N at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.library import Program
from benchmarks.result import Result
from benchmarks.trials import interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.setup import Setup
    from benchmarks.trials import Samples

MOST = 64


def run(setup: Setup) -> Result:
    """1, 2, 4, ... 64 at once: the library, and the commands of the peers."""
    counts = [1, 2] if setup.quick else [1 << power for power in range(MOST.bit_length())]
    peers = {k: v for k, v in setup.peers("/bin/true").items() if k in ("bwrap", "crun")}
    with Program("small", setup.root) as program:
        subjects: dict[str, Callable[[], float]] = {}
        for count in counts:
            subjects[f"isolate.run × {count}"] = _each(program.launch, count)
            for name, argv in peers.items():
                subjects[f"{name} × {count}"] = _each_of(setup.command(argv, copies=count), count)
        samples: Samples = interleave(subjects, blocks=setup.blocks, rounds=1)
    result = Result("Launches at once", "ms each", samples)
    for count in counts:
        for name in peers:
            ours, theirs = f"isolate.run × {count}", f"{name} × {count}"
            result.goal_ratio(f"{count} at once: no slower than {name}", ours, theirs, 1.0)
    few, most = (f"isolate.run × {count}" for count in (counts[1], counts[-1]))
    result.goal_ratio("no fall from 2 to the most at once", most, few, 1.05)
    rates = {name: 1e3 / result.median(name) for name in subjects}
    result.rows = [(name, f"{rate:.0f} launches/s") for name, rate in rates.items()]
    return result


def _each(launch: Callable[[int], float], count: int) -> Callable[[], float]:
    return lambda: launch(count) / count * 1e3


def _each_of(measure: Callable[[], float], count: int) -> Callable[[], float]:
    return lambda: measure() / count * 1e3

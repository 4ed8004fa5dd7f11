"""`isolate.run` in a running program, small, large or with threads, against bwrap and the limit."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.figures import median
from benchmarks.library import Program
from benchmarks.result import Result, milliseconds
from benchmarks.trials import interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.setup import Setup

KINDS = ("small", "large", "threads")


def limit(setup: Setup, kind: str = "namespaces", megabytes: int = 0) -> Callable[[], float]:
    """Seconds of one clone with all namespaces and exec, in C; see programs/limit.c."""
    program = f"{setup.root}/bin/true"
    argv = [setup.program("limit"), "5", kind, str(megabytes), program]

    def measure() -> float:
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return median(map(float, done.stdout.split())) / 1e6

    return measure


def run(setup: Setup) -> Result:
    """Three kinds of programs, bwrap as a command, and the limit."""
    with ExitStack() as stack:
        programs = {kind: stack.enter_context(Program(kind, setup.root)) for kind in KINDS}
        subjects: dict[str, Callable[[], float]] = {
            f"isolate.run, {kind}": programs[kind].launch for kind in KINDS
        }
        peers = setup.peers("/bin/true")
        if "bwrap" in peers:
            subjects["bwrap"] = setup.command(peers["bwrap"])
        subjects["limit"] = limit(setup)
        samples = interleave(subjects, blocks=setup.blocks, rounds=setup.rounds)
    result = Result("In a running program", "ms", milliseconds(samples))
    for kind in KINDS:
        ours = f"isolate.run, {kind}"
        result.goal_ratio(f"`isolate.run` ({kind}) ≤ 0.5 × `bwrap`", ours, "bwrap", 0.5)
        result.goal_ratio(f"`isolate.run` ({kind}) ≤ 2 × the limit", ours, "limit", 2.0)
    return result

"""The command line, cold: `isolate run` against the peers' commands, each a process of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.result import Result, milliseconds
from benchmarks.trials import interleave

if TYPE_CHECKING:
    from benchmarks.setup import Setup

_ABOVE_PYTHON = 20.0  # milliseconds
_ABOVE_RUNC = 35.0


def run(setup: Setup) -> Result:
    """All commands, the bare interpreter, and the program without any isolation."""
    run_it = [*setup.isolate, "run", "--rootfs", setup.root]
    rest = ["--memory", str(64 << 20), "--pids", "100", "--", "true"]
    peers = setup.peers("/bin/true")
    commands = {
        "isolate": [*run_it, *rest],
        "python -c pass": [sys.executable, "-c", "pass"],
        **peers,
        "fork and exec": [f"{setup.root}/bin/true"],
    }
    if "runc" in peers:
        commands["isolate, runc backend"] = [*run_it, "--backend", "runc", *rest]
    subjects = {name: setup.command(argv) for name, argv in commands.items()}
    samples = interleave(subjects, blocks=setup.blocks, rounds=setup.rounds)
    result = Result("The command, cold", "ms", milliseconds(samples))
    result.goal_ratio("`isolate run` ≤ 0.75 × `runc run`", "isolate", "runc", 0.75)
    above = result.median("isolate") - result.median("python -c pass")
    result.goal_value("`isolate run` above `python -c pass`", above, _ABOVE_PYTHON, "ms")
    if "runc" in peers:
        more = result.median("isolate, runc backend") - result.median("runc")
        result.goal_value("`--backend=runc` above `runc run`", more, _ABOVE_RUNC, "ms")
    return result

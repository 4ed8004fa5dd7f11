"""Where the milliseconds of a launch go: from inside by its steps, from outside by strace."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import figures
from benchmarks.result import Result
from isolate.plugins import load
from isolate.runtime.run import run as run_here
from isolate.runtime.stores import open_store

if TYPE_CHECKING:
    from benchmarks.setup import Setup

# Where a stage ends, by the name of the runtime's checkpoint.
_STAGES = {
    "reserve": "admit: the spec, the backend, what is refused",
    "root": "reserve: directory, lock, record",
    "cgroup.limited": "ids and cgroup",
    "launch": "filter, plan, descriptors",
    "cloned": "clone3 with all namespaces",
    "configured": "the launcher's half: maps, overlay",
    "receipt": "waiting for the child's half",
    "created": "the receipt",
    "start": "to the start",
    "end": "execve, the program, its end, clean-up",
}
_TRACED = re.compile(r"^(\d+)\s+([\d.]+) ")


def run(setup: Setup) -> Result:
    """Many launches by one process, and one traced."""
    stages: dict[str, list[float]] = {text: [] for text in _STAGES.values()}
    for _ in range(3 if setup.quick else 60):
        _one(setup, stages)
    result = Result(
        "Where a launch's time goes", "ms", {name: [values] for name, values in stages.items()}
    )
    result.rows.append(
        ("all stages", f"{sum(map(figures.median, stages.values())):.2f} ms (sum of medians)")
    )
    if shutil.which("strace"):
        result.rows += _traced(setup)
    return result


def _one(setup: Setup, stages: dict[str, list[float]]) -> None:
    last = time.perf_counter()

    def reached(name: str) -> None:
        nonlocal last
        if name in _STAGES:
            now = time.perf_counter()
            stages[_STAGES[name]].append((now - last) * 1e3)
            last = now

    backend, store = load("namespaces"), open_store()
    run_here(backend, setup.spec("/bin/true"), store, checkpoint=reached)
    reached("end")


def _traced(setup: Setup) -> list[tuple[str, str]]:
    """System calls of one command, launcher and child; strace makes each of them slower."""
    log = setup.directory / "strace"
    argv = ["strace", "-f", "-ttt", "-o", str(log), *setup.isolate, "run", "--rootfs", setup.root]
    subprocess.run([*argv, "--", "true"], check=True)
    lines = log.read_text(errors="replace").splitlines()
    clone = next(n for n, line in enumerate(lines) if "clone3(" in line)
    pid = lines[clone].split()[0]
    outside = [line for line in lines if line.split()[0] == pid]
    inside = [line for line in lines if line.split()[0] != pid]
    times = [float(match[2]) for line in lines if (match := _TRACED.match(line))]
    return [
        ("system calls of the launcher", str(len(outside))),
        ("of these before the clone", str(clone)),
        ("system calls of the first process", str(len(inside))),
        ("traced, from start to end", f"{(times[-1] - times[0]) * 1e3:.0f} ms"),
        ("the interpreter", sys.version.split()[0]),
    ]

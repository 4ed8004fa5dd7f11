"""What `isolate run` imports, by `python -X importtime`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.result import Result

if TYPE_CHECKING:
    from benchmarks.setup import Setup

_SHOWN = 12


def run(setup: Setup) -> Result:
    """The least time of each module over some runs: the rest is the machine's noise."""
    argv = [sys.executable, "-X", "importtime", setup.isolate[0], "run", "--rootfs", setup.root]
    samples: dict[str, list[float]] = {}
    for _ in range(2 if setup.quick else 20):
        done = subprocess.run(
            [*argv, "--", "true"], check=True, capture_output=True, text=True, env=_environment()
        )
        for name, own in _times(done.stderr).items():
            samples.setdefault(name, []).append(own)
    least = {name: min(values) for name, values in samples.items()}
    ours = {name: value for name, value in least.items() if name.startswith("isolate")}
    sums = {"all modules": sum(least.values()), "isolate's own": sum(ours.values())}
    result = Result("Imports of a run", "ms", {name: [[value]] for name, value in sums.items()})
    result.rows = [("modules", f"{len(least)}, of them isolate's own {len(ours)}")]
    dearest = sorted(least, key=least.__getitem__, reverse=True)[:_SHOWN]
    result.rows += [(name, f"{least[name]:.2f} ms") for name in dearest]
    return result


def _environment() -> dict[str, str]:
    import os

    return {key: value for key, value in os.environ.items() if "PYTHON" not in key}


def _times(text: str) -> dict[str, float]:
    """Milliseconds of each module's own, without what it imports."""
    rows = (line[12:].split("|") for line in text.splitlines() if line.startswith("import time:"))
    return {row[2].strip(): int(row[0]) / 1e3 for row in rows if row[0].strip().isdigit()}

"""`make bench`: run the cases, write benchmarks/results/NAME.json and the page with its plots."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.setup import Setup

CASES = (
    "cold",
    "inprocess",
    "forking",
    "rate",
    "density",
    "syscalls",
    "files",
    "imports",
    "steps",
)
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """The exit status; 0 whatever the figures are."""
    options = _options()
    options.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="isolate-bench-") as scratch:
        Path(scratch).chmod(0o755)  # the peers' root inside is another user outside
        setup = Setup(Path(scratch), quick=options.quick)
        try:
            for name in options.only or CASES:
                _case(name, setup, options.results)
        finally:
            setup.close()
    report.write(options.results, CASES)
    print(f"written: {options.results / report.PAGE}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures are none")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("only", nargs="*", choices=[*CASES, []], metavar="CASE", help="these only")
    return parser.parse_args()


def _case(name: str, setup: Setup, results: Path) -> None:
    print(f"{name}: ", end="", flush=True)
    began = time.monotonic()
    found = importlib.import_module(f"benchmarks.cases.{name}").run(setup).to_json()
    document = {**found, "case": name, "quick": setup.quick, "host": _host()}
    (results / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s")
    for goal in found["goals"]:
        print(f"  {report.verdict(goal)}")


def _host() -> dict[str, Any]:
    """The environment that figures need beside them."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


if __name__ == "__main__":
    sys.exit(main())

"""Made-up comparisons for the renderings: every verdict, failed trials, hostile strings."""

from __future__ import annotations

import random
import statistics
from typing import Any

from isolate.compare.document import Comparison

HOSTILE = "<script>alert(1)</script>\"'&amp; \x1b]0;owned\x07 |\n| </script>"
PROBES = (
    *("fs.direct", "fs.double_chroot", "fs.proc1_root", "kernel.core_pattern", "kernel.log"),
    *("pid.signal", "pid.visible", "net.raw", "info.kernel", "limit.memory", "life.residue"),
)
BACKENDS = ("chroot", "namespaces", "runc", "jail")
_EXPOSED = {
    "chroot": {"fs.double_chroot", "fs.proc1_root", "kernel.core_pattern", "kernel.log"}
    | {"pid.signal", "pid.visible", "net.raw", "info.kernel", "limit.memory"},
    "namespaces": {"info.kernel"},
    "runc": {"info.kernel", "net.raw"},
    "jail": {"info.kernel", "pid.visible"},
}
_COST = {
    "host": 1.0,
    "host again": 1.0,
    "chroot": 8.0,
    "namespaces": 12.0,
    "runc": 31.0,
    "jail": 11.0,
}


def document(**changes: Any) -> dict[str, Any]:
    """A comparison as plain data; `changes` replace parts of it."""
    return {
        "environment": {
            "isolate": "0.1.0",
            "python": "3.11.7",
            "kernel": "6.18.0",
            "machine": "x86_64",
            "cpu": "A CPU",
            "cpus": 2,
            "memory_bytes": 25 << 30,
            "user": 0,
            "started": "2026-11-25T18:00:00Z",
            "load": [0.5, 0.4, 0.3],
            "mitigations": {"spectre_v2": "Mitigation: IBRS"},
        },
        "settings": {"seed": 7, "quick": True},
        "backends": [_backend(name) for name in BACKENDS] + [_unusable("gvisor")],
        "probes": [_finding(probe, name) for probe in PROBES for name in BACKENDS],
        "metrics": [*_metric("startup", "s", 0.004), *_metric("syscall", "s", 2e-7)],
        **changes,
    }


def comparison(**changes: Any) -> Comparison:
    """The same as a document."""
    return Comparison.build(document(**changes), "")


def _backend(name: str) -> dict[str, Any]:
    found = {"name": name, "distribution": "isolate-runtime", "version": "0.1.0", "usable": True}
    return {**found, "features": ["root", "view.pids"], "tool": "1.1.5" if name == "runc" else None}


def _unusable(name: str) -> dict[str, Any]:
    problem = {"what": "there is no runsc here", "remedy": "apt-get install runsc"}
    return {**_backend(name), "usable": False, "features": [], "problems": [problem]}


def _finding(probe: str, backend: str) -> dict[str, Any]:
    verdict = "exposed" if probe in _EXPOSED[backend] else "isolated"
    if probe == "kernel.log":
        verdict = "vacuous" if backend != "chroot" else "inconclusive"
    if probe == "life.residue" and backend == "runc":
        verdict = "error"
    return {
        "probe": probe,
        "backend": backend,
        "verdict": verdict,
        "claimed": True if probe == "pid.visible" and backend != "chroot" else None,
        "feature": "view.pids" if probe == "pid.visible" else None,
        "evidence": f"{probe} was tried: ENOENT (No such file or directory)",
        "control": "the token",
        "meaning": "The program reads what it should not.",
        "remedy": "Give it a root of its own.",
    }


def _metric(name: str, unit: str, base: float) -> list[dict[str, Any]]:
    chance = random.Random(7)  # noqa: S311 - made-up figures, the same each time
    rows = []
    for backend in ("host", "host again", *BACKENDS):
        factor = _COST[backend] if unit == "s" and base > 1e-3 else 1 + _COST[backend] / 1000
        samples = [base * factor * chance.lognormvariate(0, 0.08) for _ in range(30)]
        middle = statistics.median(samples)
        rows.append(
            {
                "metric": name,
                "backend": backend,
                "unit": unit,
                "samples": samples,
                "blocks": list(range(30)),
                "median": middle,
                "ratio": middle / base,
                "low": middle / base * 0.97,
                "high": middle / base * 1.04,
                "p": 0.001,
                "same": factor < 1.01,
                "flags": ["drift"] if backend == "jail" else [],
            }
        )
    del rows[0]["ratio"], rows[0]["low"], rows[0]["high"], rows[0]["p"], rows[0]["same"]
    return rows

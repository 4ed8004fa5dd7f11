"""`python -m isolate.cli.demo`: one program in each usable backend, and what each enforced."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from isolate.cli.output import print_table
from isolate.runtime.refusal import usable_backends

# Asked of every backend; what one can't honour is waived, and the table says so.
_ASKED = {"limits.memory": ["--memory", "64M"], "limits.pids": ["--pids", "32"]}

_PROGRAM = """
import os, socket
print("user %d, host %s, %d processes, %d capabilities, links %s" % (
    os.getuid(), socket.gethostname(), sum(name.isdigit() for name in os.listdir("/proc")),
    sum(int(line.split()[1], 16).bit_count() for line in open("/proc/self/status")
        if line.startswith("CapEff")),
    " ".join(sorted(name for _, name in socket.if_nameindex()))))
"""

# A line of the table: what is shown, and the feature of the receipt that it comes from.
_ROWS = {
    "another root": "root",
    "host's root detached": "root.fence",
    "own mount table": "view.mounts",
    "own process ids": "view.pids",
    "own network": "view.network",
    "own IPC": "view.ipc",
    "own host name": "view.hostname",
    "root is not root outside": "view.users",
    "own cgroup view": "view.cgroups",
    "own clocks": "view.time",
    "memory limit": "limits.memory",
    "process limit": "limits.pids",
    "capabilities bounded": "privileges.capabilities",
    "no new privileges": "privileges.no_new_privileges",
    "system call filter": "privileges.seccomp",
}


def main() -> int:
    """Run the program everywhere and print the table; 1 when a backend failed."""
    results = {name: _run(name) for name in usable_backends()}
    print()
    _print_enforced({name: result for name, result in results.items() if result})
    return 0 if all(results.values()) else 1


def _run(backend: str) -> dict[str, Any] | None:
    """One run, its output passed on; its result, None when isolate failed."""
    waive = [word for feature in _ASKED for word in ("--allow-degraded", feature)]
    ask = [word for words in _ASKED.values() for word in words]
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory, "result.json")
        command = [sys.executable, "-m", "isolate", "run", f"--backend={backend}", *ask, *waive]
        print(f"$ isolate run --backend={backend} {' '.join(ask)} -- python3 -c ...", flush=True)
        subprocess.run(
            [*command, "--result-json", str(result), "--", "python3", "-c", _PROGRAM], check=False
        )
        if not result.exists():
            return None
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def _print_enforced(results: dict[str, dict[str, Any]]) -> None:
    print("Enforced, as read back from the kernel before the program began:\n")
    rows = [
        [shown, *(_cell(result, feature) for result in results.values())]
        for shown, feature in _ROWS.items()
    ]
    print_table(["", *results], rows)


def _cell(result: dict[str, Any], feature: str) -> str:
    if feature in result["waived"]:
        return "no (waived)"
    rows = [row for row in result["receipt"] if row["feature"] == feature]
    if not rows:
        return "no"
    if feature.startswith("limits."):
        return str(rows[0]["enforced"])
    return "yes" if all(row["holds"] for row in rows) else "NO"


if __name__ == "__main__":
    raise SystemExit(main())

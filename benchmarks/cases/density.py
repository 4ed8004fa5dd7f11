"""A thousand idle containers: memory for each, the last one's making, and listing them."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks import figures
from benchmarks.result import Result
from isolate.plugins import load
from isolate.runtime.stores import open_store
from isolate.supervisor.launch import run_detached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.setup import Setup

_MEMORY, _LATER, _LIST = 0.3, 1.2, 150.0  # the goals: MB each, ratio, milliseconds
_LOOKS = 5


def run(setup: Setup) -> Result:
    """Make them, look, and delete them."""
    count = 4 if setup.quick else 1000
    root = setup.directory / "crowd"
    store, backend = open_store(str(root)), load("namespaces")
    spec = setup.spec("/bin/sleep", "1000000")
    before = _available()
    seconds = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            run_detached(store, backend, spec, {})
            seconds.append(time.perf_counter() - began)
        used = (before - _available()) / count
        ours = sum(map(_proportional, _supervisors(str(root)))) / count
        listed = [_list(setup, str(root)) for _ in range(_LOOKS)]
    finally:
        _delete(setup, str(root))
    return _result(count, seconds, ours, used, listed)


def _result(
    count: int, seconds: list[float], ours: float, used: float, listed: list[float]
) -> Result:
    few = max(1, count // 20)
    making = [[value * 1e3 for value in part] for part in (seconds[:few], seconds[-few:])]
    result = Result(
        f"{count} idle containers",
        "ms",
        {
            "making the first": [making[0]],
            "making the last": [making[1]],
            "isolate ps": [[value * 1e3 for value in listed]],
        },
    )
    later = figures.median(making[1]) / figures.median(making[0])
    result.goal_value("our memory for each container", ours, _MEMORY, "MB")
    result.goal_value("making the last against the first", later, _LATER, "×")
    result.goal_value("`isolate ps`", result.median("isolate ps"), _LIST, "ms")
    result.rows = [
        ("our processes, for each container", f"{ours:.3f} MB"),
        ("the host's available memory, for each container", f"{used:.3f} MB"),
    ]
    result.remarks.append(
        f"first and last: the medians of {few} each. Our memory is the proportional set size of "
        "the supervisor's processes; the other row has the program and the kernel's part too."
    )
    return result


def _available() -> float:
    """MemAvailable in MB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("MemAvailable"))
    return int(line.split()[1]) / 1024


def _supervisors(root: str) -> Iterator[int]:
    """The processes on the host that serve the state directory: those with a file open in it."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _serves(name, root):
            yield int(name)


def _serves(pid: str, root: str) -> bool:
    try:
        files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return any(file.startswith(root) for file in files)


def _proportional(pid: int) -> float:
    """The proportional set size of a process, in MB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def _list(setup: Setup, root: str) -> float:
    argv = [*setup.isolate, "ps", "--root", root]
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _delete(setup: Setup, root: str) -> None:
    ids = [entry.id for entry in open_store(root).list()]
    for at in range(0, len(ids), 100):
        argv = [*setup.isolate, "delete", "--root", root, "--force", *ids[at : at + 100]]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

"""What a test may not leave behind: cgroups, mounts, processes, links, descriptors, limits."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from pathlib import Path

from tests.support import cgroups, session

GRACE = 2.0  # seconds that the kernel may take to tear down what a test has let go of


class Snapshot:
    """What there is at one moment, by kind; cheap enough to be taken around every test."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {
            "cgroup": cgroups.directories(),
            "descriptor": _descriptors(),
            "link": set(os.listdir("/sys/class/net")),
            "mount": set(_lines("/proc/self/mountinfo")),
            "named network namespace": _listing("/run/netns"),
            "process": _processes(),
            "resource limit of pytest": set(_lines("/proc/self/limits")),
        }

    def left_since(self, before: Snapshot) -> list[str]:
        """What is there now and wasn't then, each with its kind."""
        return [
            f"{kind}: {_described(item) if kind == 'process' else item}"
            for kind, items in self.found.items()
            for item in sorted(items - before.found[kind])
            if not (kind == "cgroup" and _is_foreign(item))
        ]


def settled(before: Snapshot) -> list[str]:
    """What has been left since `before`, after a grace for what is being torn down."""
    deadline = time.monotonic() + GRACE
    pause = 0.001
    while left := Snapshot().left_since(before):
        if time.monotonic() > deadline:
            break
        gc.collect()
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return left


def clean(left: list[str]) -> None:
    """End leaked processes and remove leaked cgroups, so that the next test starts clean."""
    for kind, _, item in (line.partition(": ") for line in left):
        if kind == "process":
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(item.split()[0]), signal.SIGKILL)
    for directory in sorted(
        (item for kind, _, item in (line.partition(": ") for line in left) if kind == "cgroup"),
        reverse=True,
    ):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _is_foreign(cgroup: str) -> bool:
    """Whether somebody else's processes are in it: other programs make cgroups too."""
    inside = cgroups.processes(cgroup)
    return bool(inside) and not inside & session.descendants()


def _processes() -> set[str]:
    """Each as pid and start time: what it executes may change."""
    found = set()
    for pid in session.descendants():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.add(f"{pid} started at {fields[19]}")
    return found


def _described(process: str) -> str:
    try:
        command = Path(f"/proc/{process.split(maxsplit=1)[0]}/cmdline").read_text(errors="replace")
    except OSError:
        command = ""
    return f"{process}: {command.replace(chr(0), ' ').strip()[:80] or 'ended, not waited for'}"


def _descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def _lines(path: str) -> list[str]:
    with open(path) as file:
        return file.read().splitlines()


def _listing(path: str) -> set[str]:
    try:
        return set(os.listdir(path))
    except OSError:
        return set()

"""Attempts on what the machine tells of itself: which kernel, what else it does, how big it is."""

from __future__ import annotations

import contextlib
import os
import re


def kernel() -> dict[str, str]:
    """The boot id, the release and the version."""
    said = os.uname()
    found = {"release": said.release, "version": said.version}
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        found["boot id"] = file.read().strip()
    return found


_COUNTERS = ("/proc/interrupts", "/proc/softirqs", "/proc/schedstat")
_POWER = "/sys/class/powercap"


def counters() -> dict[str, int]:
    """The sum of all numbers in each file that counts what the whole machine does; they only grow.

    A file that is hidden or empty isn't there.
    """
    found = {}
    energy = os.listdir(_POWER) if os.path.isdir(_POWER) else []
    for path in (*_COUNTERS, *(f"{_POWER}/{name}/energy_uj" for name in energy)):
        with contextlib.suppress(OSError), open(path, errors="replace") as file:
            total = sum(map(int, re.findall(r"(?<=\s)\d+(?=\s)", file.read())))
            if total:
                found[path] = total
    return found


def memory() -> int:
    """Bytes of memory that there are, by proc_meminfo(5)."""
    with open("/proc/meminfo") as file:
        return int(file.readline().split()[1]) * 1024


def mounts() -> list[list[str]]:
    """Of each mount its id, device, root, source and options, by proc_pid_mountinfo(5)."""
    with open("/proc/self/mountinfo", errors="replace") as file:
        rows = [line.split() for line in file]
    found = []
    for row in rows:
        end = row.index("-")
        found.append([row[0], row[2], row[3], row[end + 2], row[end + 3]])
    return found

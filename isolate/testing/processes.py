"""Processes as the contract finds them: by descent, and by a mark in their environment."""

from __future__ import annotations

import contextlib
import os

from isolate.linux import process

HELPER = "ISOLATE_CONTRACT"  # marks what the test process starts on the host
PROGRAM = "ISOLATE_CONTRACT_PROGRAM"  # marks the program inside, and what it starts
CONTAINER = "ISOLATE_CONTRACT_ID"  # tells whose program it is


def marked(name: str, value: str) -> set[int]:
    """The pids of the host's processes that have `name=value` in their environment and aren't
    zombies; those whose environment this user may not read are left out."""
    wanted = f"{name}={value}".encode()
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.add(int(entry))
    return found


def ours(value: str) -> set[process.Identity]:
    """All that descends from this process or bears a mark of `value`, zombies too."""
    pids = {*process.descendants(os.getpid()), *marked(HELPER, value), *marked(PROGRAM, value)}
    found = set()
    for pid in pids - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            found.add(process.identify(pid))
    return found


def described(pid: int) -> str:
    """The command line of a process, for a message."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        text = ""
    return f"{pid} ({text[:80] or 'ended, not waited for'})"


def status_field(pid: int, name: str) -> str | None:
    """A line of /proc/PID/status; None where the process or the line is missing."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return process.parse_status(file.read()).get(name)
    except OSError:
        return None

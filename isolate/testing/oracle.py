"""Reads the kernel for itself, to catch a receipt that says what isn't so.

Written apart from `isolate.native.receipt`: it must not believe what it tests.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from isolate.linux.namespaces import FILES
from isolate.testing.processes import status_field

if TYPE_CHECKING:
    from isolate.backend import Handle, ReceiptRow

_LIMITS = {  # what a limit's file holds, in the words of both versions of cgroups
    "limits.memory": ("memory.max", "memory.limit_in_bytes"),
    "limits.pids": ("pids.max",),
}


def contradiction(row: ReceiptRow, handle: Handle) -> str | None:
    """How the kernel contradicts a row that holds; None where it doesn't, or can't be asked."""
    pid = handle.pid
    if row.source.startswith("/sys/fs/cgroup"):
        return _of_limit(row)
    if pid is None or not os.path.exists(f"/proc/{pid}/status"):
        return None
    return _of_process(row, pid)


def _of_limit(row: ReceiptRow) -> str | None:
    if row.feature not in _LIMITS:
        return None
    if os.path.basename(row.source) not in _LIMITS[row.feature]:
        return f"{row.source} doesn't hold this limit"
    text = _read(row.source)
    if not text.isdigit() or int(text) > int(float(row.asked)):
        return f"{row.source} says {text!r}, asked is {row.asked}"
    return None


def _of_process(row: ReceiptRow, pid: int) -> str | None:
    if row.feature.startswith("limits."):
        return f"a limit of a container isn't read from {row.source}"
    if row.feature == "privileges.no_new_privileges" and status_field(pid, "NoNewPrivs") != "1":
        return f"NoNewPrivs of process {pid} is {status_field(pid, 'NoNewPrivs')}"
    if row.feature == "privileges.seccomp" and status_field(pid, "Seccomp") != "2":
        return f"Seccomp of process {pid} is {status_field(pid, 'Seccomp')}"
    view = row.feature.removeprefix("view.")
    if row.feature.startswith("view.") and _namespace(pid, view) == _namespace("self", view):
        return f"process {pid} is in the host's namespace"
    if row.feature == "root.readonly" and not _root_is_read_only(pid):
        return f"the root of process {pid} is writable"
    return None


def _namespace(pid: int | str, view: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/{FILES[view]}")
    except OSError:
        return None


def _root_is_read_only(pid: int) -> bool:
    lines = _read(f"/proc/{pid}/mountinfo").splitlines()
    roots = [line for line in lines if line.split(" ")[4] == "/"]
    return all(re.match(r"ro(,|$)", line.split(" ")[5]) for line in roots)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()

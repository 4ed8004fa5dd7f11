"""A process's command line as ps(1) shows it: the arguments' own memory, overwritten."""

from __future__ import annotations

from isolate.linux import prctl
from isolate.linux._libc import write_memory

_ARG_START = 47  # fields of proc_pid_stat(5), counted from 0; arg_start and arg_end
_ARG_END = 48


def set_title(title: str) -> None:
    """Show `title` instead of the arguments, which may tell what others should not read."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
    prctl.set_name(title)
    if start and end > start:
        write_memory(start, title.encode()[: end - start - 1].ljust(end - start, b"\0"))

"""Memory as the host sees it: what is available, and what some containers' processes hold."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from isolate.linux import process

if TYPE_CHECKING:
    from collections.abc import Sequence


def available() -> int:
    """Bytes that new programs could have: MemAvailable of proc_meminfo(5)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024


def proportional(names: Sequence[str]) -> int | None:
    """The sum of the proportional set sizes, in bytes, of this process's descendants and of all
    whose command line bears one of `names`: shims and virtual machines bear the container's id.

    None where a size can't be read.
    """
    found = {*process.descendants(os.getpid()), *_bearing([name for name in names if name])}
    sizes = [_size(pid) for pid in found]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _bearing(names: list[str]) -> set[int]:
    words = [name.encode() for name in names]
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                text = file.read()
                if any(word in text for word in words):
                    found.add(int(entry))
    return found


def _size(pid: int) -> int | None:
    """Bytes of one process; 0 where it has ended, None where they are hidden."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        return None
    return 0

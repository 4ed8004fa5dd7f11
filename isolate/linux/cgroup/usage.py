"""What groups used, as the kernel counted it. Unmeasured is None, never 0."""

from __future__ import annotations

import os

from isolate.linux.cgroup.files import number, pairs, read_if_there, tree

_TICKS = 100  # USER_HZ: the unit of cpuacct.stat on every architecture that Linux still has
_PRESSURE = ("cpu", "memory", "io")


class Usage:
    """What a container used up to now.

    Attributes:
        cpu_user_seconds, cpu_system_seconds: CPU time.
        memory_bytes, memory_peak_bytes: memory with page cache, now and at most.
        pids, pids_peak: tasks, now and at most.
        io_read_bytes, io_write_bytes: bytes from and to block devices (version 1 does not count
            buffered writes).
        oom_kills: processes killed for want of memory within the limit.
        pressure: seconds in which some, or all, tasks waited, as in `memory.some`; empty where
            the kernel does not tell. Source: Documentation/accounting/psi.rst.
    """

    __slots__ = (
        "cpu_system_seconds",
        "cpu_user_seconds",
        "io_read_bytes",
        "io_write_bytes",
        "memory_bytes",
        "memory_peak_bytes",
        "oom_kills",
        "pids",
        "pids_peak",
        "pressure",
    )

    def __init__(self) -> None:
        self.cpu_user_seconds: float | None = None
        self.cpu_system_seconds: float | None = None
        self.memory_bytes: int | None = None
        self.memory_peak_bytes: int | None = None
        self.pids: int | None = None
        self.pids_peak: int | None = None
        self.io_read_bytes: int | None = None
        self.io_write_bytes: int | None = None
        self.oom_kills: int | None = None
        self.pressure: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Usage({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def add_v2(usage: Usage, directory: str) -> None:
    """Fill in what the version 2 group counts."""
    stat = pairs(read_if_there(f"{directory}/cpu.stat"))
    if "user_usec" in stat:
        usage.cpu_user_seconds = stat["user_usec"] / 1e6
        usage.cpu_system_seconds = stat["system_usec"] / 1e6
    _add_pids(usage, directory)
    events = pairs(read_if_there(f"{directory}/memory.events"))
    if events:
        usage.memory_bytes = number(read_if_there(f"{directory}/memory.current"))
        usage.memory_peak_bytes = number(read_if_there(f"{directory}/memory.peak"))
        usage.oom_kills = events.get("oom_kill")
    io = read_if_there(f"{directory}/io.stat")
    if io is not None:
        usage.io_read_bytes, usage.io_write_bytes = _sum_io_stat(io)
    for resource in _PRESSURE:
        text = read_if_there(f"{directory}/{resource}.pressure") or ""
        usage.pressure.update(_stalls(resource, text))


def _sum_io_stat(text: str) -> tuple[int, int]:
    """`MAJ:MIN rbytes=N wbytes=N ...` in each line; a device without a figure is bare."""
    words = [word.partition("=") for word in text.split()]
    read = sum(int(value) for key, _, value in words if key == "rbytes")
    return read, sum(int(value) for key, _, value in words if key == "wbytes")


def _stalls(resource: str, text: str) -> dict[str, float]:
    """`some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`, and the same for `full`."""
    result = {}
    for line in text.splitlines():
        kind, *words = line.split()
        for word in words:
            if word.startswith("total="):
                result[f"{resource}.{kind}"] = int(word[6:]) / 1e6
    return result


def add_v1(usage: Usage, directory: str) -> None:
    """Fill in what a version 1 group counts, whatever its controllers."""
    stat = pairs(read_if_there(f"{directory}/cpuacct.stat"))
    if stat:
        usage.cpu_user_seconds = stat["user"] / _TICKS
        usage.cpu_system_seconds = stat["system"] / _TICKS
    _add_pids(usage, directory)
    if os.path.exists(f"{directory}/memory.oom_control"):
        usage.memory_bytes = number(read_if_there(f"{directory}/memory.usage_in_bytes"))
        usage.memory_peak_bytes = number(read_if_there(f"{directory}/memory.max_usage_in_bytes"))
        usage.oom_kills = _v1_oom_kills(directory)
    io = _v1_io(directory)
    if io is not None:
        usage.io_read_bytes, usage.io_write_bytes = _sum_serviced(io)


def _add_pids(usage: Usage, directory: str) -> None:
    current = number(read_if_there(f"{directory}/pids.current"))
    if current is not None:
        usage.pids = current
        usage.pids_peak = number(read_if_there(f"{directory}/pids.peak"))


def _v1_oom_kills(directory: str) -> int | None:
    """Version 1 counts in the victim's own group only (since Linux 4.13)."""
    texts = (read_if_there(f"{group}/memory.oom_control") for group in tree(directory))
    counts = [found["oom_kill"] for found in map(pairs, texts) if "oom_kill" in found]
    return sum(counts) if counts else None


def _v1_io(directory: str) -> str | None:
    recursive = read_if_there(f"{directory}/blkio.throttle.io_service_bytes_recursive")
    if recursive is not None:
        return recursive
    return read_if_there(f"{directory}/blkio.throttle.io_service_bytes")


def _sum_serviced(text: str) -> tuple[int, int]:
    """`MAJ:MIN Read N`, `MAJ:MIN Write N` and others in lines."""
    rows = [line.split() for line in text.splitlines()]
    sums = {
        kind: sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == kind)
        for kind in ("Read", "Write")
    }
    return sums["Read"], sums["Write"]

"""Limits in version 1. Sources: the kernel's Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import errno
import os

from isolate.linux.cgroup import devices
from isolate.linux.cgroup.files import CgroupError, number, read, read_if_there, write
from isolate.linux.cgroup.knobs import PERIOD, RATES, Knobs, Reading, quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from isolate.linux.cgroup.devices import Rule

_MEMORY = "memory.limit_in_bytes"
_MEMSW = "memory.memsw.limit_in_bytes"
_UNLIMITED = 1 << 62  # the kernel shows "none" as the largest multiple of the page size

_THROTTLE = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
NO_SWAP_ACCOUNTING = "swap accounting is absent from this kernel (boot parameter swapaccount=1)"


class V1(Knobs):
    """The limits of one group in one version 1 hierarchy."""

    __slots__ = ()

    def set_memory(self, limit: int | None, swap: int | None) -> None:
        """Memory, and memory and swap together (`memsw`), in the order that the kernel accepts.

        `memsw` may never lie below memory, so which goes first depends on what holds before.
        """
        if swap is not None and not os.path.exists(self.path(_MEMSW)):
            raise CgroupError(errno.ENOTSUP, NO_SWAP_ACCOUNTING, self.path(_MEMSW))
        self._account_hierarchically()
        before, both = self._bytes(_MEMORY), self._swap_and_memory()
        limit = before if limit is None else limit
        if swap is None and both is not None and before is not None:
            swap = both - before
        if limit is None:
            raise CgroupError(errno.EINVAL, "a swap limit needs a memory limit beside it")
        if both is not None and limit > both:
            write(self.path(_MEMSW), str(limit + (swap or 0)))
        write(self.path(_MEMORY), str(limit))
        if swap is not None:
            write(self.path(_MEMSW), str(limit + swap))

    def _swap_and_memory(self) -> int | None:
        return self._bytes(_MEMSW) if os.path.exists(self.path(_MEMSW)) else None

    def _account_hierarchically(self) -> None:
        """Before Linux 5.11 a group's own children escaped its limit unless this was set."""
        if read_if_there(self.path("memory.use_hierarchy")) == "0\n":
            write(self.path("memory.use_hierarchy"), "1")

    def set_cpus(self, cpus: float) -> None:
        if number(read_if_there(self.path("cpu.cfs_period_us"))) != PERIOD:
            write(self.path("cpu.cfs_period_us"), str(PERIOD))
        write(self.path("cpu.cfs_quota_us"), str(quota(cpus)))

    def set_cpu_weight(self, weight: int) -> None:
        write(self.path("cpu.shares"), str(shares(weight)))

    def fill_cpuset(self) -> None:
        """Take over the parent's CPUs and memory nodes: a group without them refuses tasks."""
        parent = os.path.dirname(self.directory)
        for file in ("cpuset.cpus", "cpuset.mems"):
            write(self.path(file), read(f"{parent}/{file}").strip())

    def set_cpuset(self, cpus: str) -> None:
        write(self.path("cpuset.cpus"), cpus)

    def set_pids(self, most: int) -> None:
        write(self.path("pids.max"), str(most))

    def set_io(self, numbers: str, rates: Mapping[str, int]) -> None:
        """Version 1 throttles reads and direct or synchronous writes; buffered writes are written
        back by the kernel's own threads, outside of every group."""
        for rate, value in rates.items():
            write(self.path(_THROTTLE[rate]), f"{numbers} {value}")

    def set_devices(self, rules: Iterable[Rule]) -> None:
        write(self.path("devices.deny"), "a")
        for rule in devices.canonical(rules):
            write(self.path("devices.allow"), devices.text(rule))

    def read_memory(self) -> dict[str, Reading]:
        limit = self._bytes(_MEMORY)
        readings = {"memory": Reading(limit, self.path(_MEMORY))}
        if os.path.exists(self.path(_MEMSW)):
            both = self._bytes(_MEMSW)
            swap = None if both is None or limit is None else both - limit
            readings["swap"] = Reading(swap, self.path(_MEMSW))
        return readings

    def _bytes(self, file: str) -> int | None:
        value = int(read(self.path(file)))
        return None if value >= _UNLIMITED else value

    def read_cpu(self) -> dict[str, Reading]:
        file = self.path("cpu.cfs_quota_us")
        microseconds = int(read(file))
        period = int(read(self.path("cpu.cfs_period_us")))
        cpus = None if microseconds < 0 else microseconds / period
        weighed = self.path("cpu.shares")
        return {
            "cpus": Reading(cpus, file),
            "cpu_weight": Reading(weight_of(int(read(weighed))), weighed),
        }

    def read_cpuset(self) -> dict[str, Reading]:
        file = self.path("cpuset.effective_cpus")
        if not os.path.exists(file):  # before Linux 3.17
            file = self.path("cpuset.cpus")
        return {"cpuset": Reading(read(file).strip(), file)}

    def read_pids(self) -> dict[str, Reading]:
        file = self.path("pids.max")
        return {"pids": Reading(number(read(file)), file)}

    def read_io(self) -> dict[str, Reading]:
        found: dict[str, dict[str, int]] = {}
        for rate in RATES:
            for line in read(self.path(_THROTTLE[rate])).splitlines():
                numbers, value = line.split()
                found.setdefault(numbers, {})[rate] = int(value)
        return {"io": Reading(found or None, self.path("blkio.throttle.*_device"))}

    def read_devices(self) -> dict[str, Reading]:
        file = self.path("devices.list")
        lines = tuple(sorted(read(file).splitlines()))
        return {"devices": Reading(None if lines == ("a *:* rwm",) else lines, file)}


def shares(weight: int) -> int:
    """Version 1's `cpu.shares` (2 to 262144, 1024 is usual) of a weight (1 to 10000, 100 is usual).

    The inverse of the curve by which runc makes weights of shares, see `_curve`.
    """
    return max(2, min(262144, round(2 ** _solve(_curve, weight))))


def weight_of(value: int) -> int:
    """The weight of `cpu.shares`."""
    return max(1, min(10000, round(_curve(_solve(lambda exponent: 2**exponent, max(value, 2))))))


def _curve(exponent: float) -> float:
    """The weight of 2**exponent shares: it meets both ends and the usual value of both scales."""
    result: float = 10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34)
    return result


def _solve(function: Callable[[float], float], value: float) -> float:
    """Where a rising function of 1 to 18 takes a value, by halving: `math` is dear to import."""
    low, high = 1.0, 18.0
    for _ in range(50):
        middle = (low + high) / 2
        if function(middle) < value:
            low = middle
        else:
            high = middle
    return high

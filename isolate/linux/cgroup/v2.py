"""Limits in version 2. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import errno
import os

from isolate.linux.cgroup import devices
from isolate.linux.cgroup.files import CgroupError, number, read, read_if_there, write
from isolate.linux.cgroup.knobs import PERIOD, RATES, Knobs, Reading, cpu_list, quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isolate.linux.cgroup.devices import Rule

_SWAP = "memory.swap.max"
NO_SWAP_ACCOUNTING = "swap accounting is absent from this kernel: it has no memory.swap.max"


class V2(Knobs):
    """The limits of one group in the version 2 hierarchy."""

    __slots__ = ()

    def set_memory(self, limit: int | None, swap: int | None) -> None:
        if swap is not None and not os.path.exists(self.path(_SWAP)):
            raise CgroupError(errno.ENOTSUP, NO_SWAP_ACCOUNTING, self.path(_SWAP))
        if limit is not None:
            write(self.path("memory.max"), str(limit))
        if swap is not None:
            write(self.path(_SWAP), str(swap))

    def set_cpus(self, cpus: float) -> None:
        write(self.path("cpu.max"), f"{quota(cpus)} {PERIOD}")

    def set_cpu_weight(self, weight: int) -> None:
        write(self.path("cpu.weight"), str(weight))

    def set_cpuset(self, cpus: str) -> None:
        """As version 1's, with a check: version 2 takes any list, and where none of its CPUs can
        be had it quietly gives the parent's instead."""
        write(self.path("cpuset.cpus"), cpus)
        file = self.path("cpuset.cpus.effective")
        effective = read(file).strip()
        if not cpu_list(effective) <= cpu_list(cpus):
            raise CgroupError(
                errno.EINVAL, f"CPUs {cpus} can't be had here: {file} says {effective}", file
            )

    def set_pids(self, most: int) -> None:
        write(self.path("pids.max"), str(most))

    def set_io(self, numbers: str, rates: Mapping[str, int]) -> None:
        asked = " ".join(f"{rate}={rates[rate]}" for rate in RATES if rate in rates)
        write(self.path("io.max"), f"{numbers} {asked}")

    def set_devices(self, rules: Iterable[Rule]) -> None:
        devices.attach(self.directory, rules)

    def read_memory(self) -> dict[str, Reading]:
        file = self.path("memory.max")
        readings = {"memory": Reading(number(read(file)), file)}
        swap = read_if_there(self.path(_SWAP))
        if swap is not None:
            readings["swap"] = Reading(number(swap), self.path(_SWAP))
        return readings

    def read_cpu(self) -> dict[str, Reading]:
        file, weighed = self.path("cpu.max"), self.path("cpu.weight")
        microseconds, period = read(file).split()
        cpus = None if microseconds == "max" else int(microseconds) / int(period)
        return {
            "cpus": Reading(cpus, file),
            "cpu_weight": Reading(number(read(weighed)), weighed),
        }

    def read_cpuset(self) -> dict[str, Reading]:
        file = self.path("cpuset.cpus.effective")
        return {"cpuset": Reading(read(file).strip(), file)}

    def read_pids(self) -> dict[str, Reading]:
        file = self.path("pids.max")
        return {"pids": Reading(number(read(file)), file)}

    def read_io(self) -> dict[str, Reading]:
        file = self.path("io.max")
        found: dict[str, dict[str, int]] = {}
        for line in read(file).splitlines():
            numbers, *rates = line.split()
            split = (rate.split("=", 1) for rate in rates)
            found[numbers] = {key: int(value) for key, value in split if value != "max"}
        return {"io": Reading(found or None, file)}

    def read_devices(self) -> dict[str, Reading]:
        rules = devices.attached(self.directory)
        return {"devices": Reading(rules, f"{self.directory} (BPF_CGROUP_DEVICE)")}

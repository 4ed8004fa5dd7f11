"""What both versions' limits share: their interface, values read back, CPU lists, quotas."""

from __future__ import annotations

import errno

from isolate.linux.cgroup.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isolate.linux.cgroup.devices import Rule

PERIOD = 100_000  # microseconds; the kernel's default for bandwidth control
RATES = ("rbps", "wbps", "riops", "wiops")


class Reading:
    """What the kernel says is in force: a value, and the file that it was read from.

    A value of None means that there is no limit.
    """

    __slots__ = ("file", "value")

    def __init__(self, value: object, file: str) -> None:
        self.value = value
        self.file = file

    def __repr__(self) -> str:
        return f"Reading({self.value!r}, {self.file!r})"


class Knobs:
    """The limits of one group in one hierarchy; `directory` is the group's.

    Setters raise CgroupError. Getters return readings by the limit's name.
    """

    __slots__ = ("directory",)

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def path(self, file: str) -> str:
        """An interface file of this group."""
        return f"{self.directory}/{file}"

    def set_memory(self, limit: int | None, swap: int | None) -> None:
        """Bytes of memory; bytes of swap beside it. None leaves one as it is."""
        raise NotImplementedError

    def set_cpus(self, cpus: float) -> None:
        """CPUs' worth of time in each tenth of a second."""
        raise NotImplementedError

    def set_cpu_weight(self, weight: int) -> None:
        """Share of contended time, 1 to 10000; 100 is the default of every group."""
        raise NotImplementedError

    def set_cpuset(self, cpus: str) -> None:
        """The CPUs that may be used, as in `0-3,5`."""
        raise NotImplementedError

    def set_pids(self, most: int) -> None:
        """Tasks (processes and threads)."""
        raise NotImplementedError

    def set_io(self, numbers: str, rates: Mapping[str, int]) -> None:
        """Bounds on one disk (`MAJOR:MINOR`), by RATES: bytes and operations per second."""
        raise NotImplementedError

    def set_devices(self, rules: Iterable[Rule]) -> None:
        """Allow these devices and no others."""
        raise NotImplementedError

    def read_memory(self) -> dict[str, Reading]:
        """`memory` and, where it is accounted, `swap`."""
        raise NotImplementedError

    def read_cpu(self) -> dict[str, Reading]:
        """`cpus` and `cpu_weight`."""
        raise NotImplementedError

    def read_cpuset(self) -> dict[str, Reading]:
        """`cpuset`: the CPUs that really are used."""
        raise NotImplementedError

    def read_pids(self) -> dict[str, Reading]:
        """`pids`."""
        raise NotImplementedError

    def read_io(self) -> dict[str, Reading]:
        """`io`: rates by `MAJOR:MINOR`."""
        raise NotImplementedError

    def read_devices(self) -> dict[str, Reading]:
        """`devices`: the rules, sorted; None when every device is allowed."""
        raise NotImplementedError


def quota(cpus: float) -> int:
    """Microseconds in each PERIOD, never more than asked (but for a float's own error)."""
    return int(cpus * PERIOD + 1e-6)


def cpu_list(text: str) -> frozenset[int]:
    """The numbers of a list such as `0-3,5`. Raises CgroupError."""
    numbers: set[int] = set()
    try:
        for part in text.strip().split(",") if text.strip() else ():
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise CgroupError(errno.EINVAL, f"{text!r} is not a list of CPUs such as 0-3,5") from None
    return frozenset(numbers)

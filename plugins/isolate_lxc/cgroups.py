"""Where LXC makes a container's cgroups, and their limits as keys of its configuration.

LXC makes a group in every hierarchy, one for the container and one for its monitor, below those
of the process that executes it (`lxc.cgroup.relative`).
"""

from __future__ import annotations

import os

from isolate.errors import LaunchError
from isolate.linux import cgroup
from isolate.linux.cgroup import CgroupError, Group, blockdev, devices
from isolate.linux.cgroup.knobs import PERIOD, quota
from isolate.linux.cgroup.layout import Layout, parse_mounts
from isolate.linux.cgroup.v1 import shares
from isolate.native import limits
from isolate.spec.defaults import PIDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.spec.model import IoMax, Spec

_MONITOR = "-monitor"
_THROTTLE = {
    "rbps": "read_bps_device",
    "wbps": "write_bps_device",
    "riops": "read_iops_device",
    "wiops": "write_iops_device",
}


class Places:
    """A container's cgroups before they are made.

    Attributes:
        name: the container's group, and LXC's name for the container.
        directories: the container's groups as `Group` takes them.
        parent: where the version 2 group goes if not below our own; None otherwise.
    """

    __slots__ = ("directories", "name", "parent")

    def __init__(self, name: str, directories: dict[str, str], parent: str | None) -> None:
        self.name = name
        self.directories = directories
        self.parent = parent

    @property
    def monitor_name(self) -> str:
        """The group of LXC's own process."""
        return self.name + _MONITOR

    @property
    def monitor_directories(self) -> dict[str, str]:
        """The groups of LXC's own process."""
        return {key: path + _MONITOR for key, path in self.directories.items()}


def places(id: str, spec: Spec) -> Places:
    """The groups that LXC will make; none is made here. Raises LaunchError."""
    name = f"{cgroup.PREFIX}{id}-{os.urandom(4).hex()}"
    layout = cgroup.discover()
    try:
        asked = Group.paths(layout, name, limits.controllers(spec))  # refuses what can't be had
    except CgroupError as error:
        raise LaunchError(
            f"the cgroup can't be made: {error}", hint="`isolate doctor` says what is delegated"
        ) from None
    found = {key: path for key, path in asked.items() if key.startswith("v2:")}
    parent = None
    if layout.mode == "v2" and layout.unified is not None:
        above = os.path.dirname(next(iter(found.values())))
        parent = above if above != layout.unified.directory else None
    elif layout.unified is not None:
        found = {"v2:": f"{layout.unified.directory}/{name}"}
    for controllers, directory in _version_1(layout):
        found[f"v1:{controllers}"] = f"{directory}/{name}"
    return Places(name, found, parent)


def _version_1(layout: Layout) -> list[tuple[str, str]]:
    """(controllers, our own group) of each version 1 hierarchy, also of those without any."""
    rows = [
        (",".join(sorted(each.controllers)), each.directory.rstrip("/"))
        for each in layout.hierarchies
        if each.version == 1
    ]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [mount for mount in parse_mounts(file.read()) if mount.fstype == "cgroup"]
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        named = [line.rstrip("\n").split(":", 2) for line in file if ":name=" in line]
    for _number, hierarchy, own in named:
        places_of = [mount.locate(own) for mount in mounts if hierarchy in mount.options]
        directory = next((place for place in places_of if place), None)
        if directory is not None and hierarchy not in [name for name, _path in rows]:
            rows.append((hierarchy, directory.rstrip("/")))
    return rows


def knobs(spec: Spec) -> list[tuple[str, str]]:
    """The limits as keys and values, in the order in which the kernel takes them.

    Raises LaunchError, HostError for a device that can't be limited or given.
    """
    layout = cgroup.discover()
    asked = spec.limits
    keys = _Keys(layout)
    if asked.memory is not None:
        keys.memory(asked.memory, asked.memory_swap)
    if asked.cpus is not None:
        period, most = str(PERIOD), str(quota(asked.cpus))
        keys.add("cpu", "cpu.cfs_period_us", period, "", "")
        keys.add("cpu", "cpu.cfs_quota_us", most, "cpu.max", f"{most} {period}")
    if asked.cpu_weight is not None:
        weight = asked.cpu_weight
        keys.add("cpu", "cpu.shares", str(shares(weight)), "cpu.weight", str(weight))
    if asked.cpuset is not None:
        keys.add("cpuset", "cpuset.cpus", asked.cpuset, "cpuset.cpus", asked.cpuset)
    pids = str(PIDS if asked.pids is None else asked.pids)
    keys.add("pids", "pids.max", pids, "pids.max", pids)
    for each in asked.io:
        keys.io(each)
    if not spec.privileges.privileged:
        keys.devices(spec)
    return keys.rows


class _Keys:
    """Keys of version 1 or 2, by the hierarchy on which a controller lives."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.rows: list[tuple[str, str]] = []

    def add(self, controller: str, old: str, old_value: str, new: str, new_value: str) -> None:
        """Append the key of the controller's version; none where nobody has the controller."""
        version = self._version(controller)
        if version == 1 and old:
            self.rows.append((f"lxc.cgroup.{old}", old_value))
        elif version == 2 and new:
            self.rows.append((f"lxc.cgroup2.{new}", new_value))

    def _version(self, controller: str) -> int | None:
        home = self._layout.find(controller)
        return None if home is None else home.version

    def memory(self, limit: int, swap: int | None) -> None:
        """Version 1 counts memory and swap together, and wants memory's own limit first."""
        self.add("memory", "memory.limit_in_bytes", str(limit), "memory.max", str(limit))
        if swap is not None:
            both = str(limit + swap)
            self.add("memory", "memory.memsw.limit_in_bytes", both, "memory.swap.max", str(swap))

    def io(self, row: IoMax) -> None:
        """Bounds on one device. Raises LaunchError."""
        try:
            numbers = blockdev.resolve(row.device)
        except CgroupError as error:
            raise LaunchError(
                f"a limit can't be set: {error}", hint="`lsblk` lists disks"
            ) from None
        rates = {name: value for name in _THROTTLE if (value := getattr(row, name)) is not None}
        for name, value in rates.items():
            self.add("io", f"blkio.throttle.{_THROTTLE[name]}", f"{numbers} {value}", "", "")
        words = " ".join(f"{name}={value}" for name, value in rates.items())
        self.add("io", "", "", "io.max", f"{numbers} {words}")

    def devices(self, spec: Spec) -> None:
        """Deny all, allow the default nodes and the spec's own. Raises HostError."""
        prefix = "lxc.cgroup" if self._version("devices") == 1 else "lxc.cgroup2"
        self.rows.append((f"{prefix}.devices.deny", "a"))
        for rule in devices.canonical(limits.device_rules(spec.devices)):
            self.rows.append((f"{prefix}.devices.allow", devices.text(rule)))

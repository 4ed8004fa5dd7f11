"""A group: one container's directories over the hierarchies, from creation to removal."""

from __future__ import annotations

import errno
import os
import time

from isolate.linux.cgroup import blockdev, kill, place, remove, usage
from isolate.linux.cgroup.files import CgroupError, members, write
from isolate.linux.cgroup.knobs import RATES
from isolate.linux.cgroup.v1 import V1
from isolate.linux.cgroup.v2 import V2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from isolate.linux.cgroup.devices import Rule
    from isolate.linux.cgroup.knobs import Knobs, Reading
    from isolate.linux.cgroup.layout import Layout

_READERS = {
    "memory": "read_memory",
    "cpu": "read_cpu",
    "cpuset": "read_cpuset",
    "pids": "read_pids",
    "io": "read_io",
}


class Entry:
    """Open descriptors by which a process enters a group without waiting.

    Moving another process (cgroup.procs) costs an RCU grace period, about ten milliseconds; being
    born in a group and moving one's own only thread cost some microseconds. So: `clone` with
    `cgroup_fd=entry.unified`, and then `entry.enter()` first of all in the child.
    """

    __slots__ = ("tasks", "unified")

    def __init__(self, unified: int | None, tasks: list[int]) -> None:
        self.unified = unified
        self.tasks = tasks

    def enter(self) -> None:
        """Move this thread, which must be the only one of its process, into the version 1 groups.

        Needs no right of its own: the kernel asks those of who opened the descriptors.
        """
        for descriptor in self.tasks:
            os.write(descriptor, b"0")

    def close(self) -> None:
        """Close the descriptors (they are close-on-exec)."""
        for descriptor in self.tasks if self.unified is None else [self.unified, *self.tasks]:
            os.close(descriptor)
        self.unified = None
        self.tasks = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class Group:
    """One container's cgroups. `directories` is plain data that rebuilds it: `Group(recorded)`.

    Methods raise CgroupError, whose text is a whole explanation.
    """

    __slots__ = ("directories",)

    def __init__(self, directories: Mapping[str, str]) -> None:
        for key, path in directories.items():
            _check_recorded(key, path)
        self.directories = dict(directories)

    @staticmethod
    def paths(layout: Layout, name: str, controllers: Iterable[str]) -> dict[str, str]:
        """The directories that a group of that name would have; makes nothing.

        `name` begins with `isolate-`; `controllers` are of `place.CONTROLLERS`, or `cpuacct`.
        Record the result, then `Group(result).create()`. Raises CgroupError where a controller
        can't be had.
        """
        return place.paths(layout, name, controllers)

    # -- making and entering

    def create(self) -> None:
        """Make the directories. On failure those made are removed again.

        Raises CgroupError (EEXIST) when one exists already: a stranger's is never adopted.
        """
        made: list[str] = []
        try:
            for key, path in self.directories.items():
                self._make(key, path, made)
        except OSError:
            for path in reversed(made):
                os.rmdir(path)
            raise

    def _make(self, key: str, path: str, made: list[str]) -> None:
        version, controllers = _parse_key(key)
        if version == 2:
            _pass_on(os.path.dirname(path), controllers)
        try:
            os.mkdir(path, 0o755)
        except OSError as error:
            raise CgroupError(
                error.errno, f"cgroup {path} can't be made: {error.strerror}", path
            ) from None
        made.append(path)
        if version == 1 and "cpuset" in controllers:
            V1(path).fill_cpuset()

    def open(self) -> Entry:
        """Descriptors by which a child enters; see Entry."""
        unified: int | None = None
        tasks: list[int] = []
        try:
            for key, path in self.directories.items():
                if key.startswith("v2:"):
                    unified = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                else:
                    tasks.append(os.open(f"{path}/tasks", os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            Entry(unified, tasks).close()
            raise
        return Entry(unified, tasks)

    def add(self, pid: int) -> None:
        """Move a process with all its threads; see Entry for the faster way in."""
        for path in self.directories.values():
            write(f"{path}/cgroup.procs", str(pid))

    @property
    def unified(self) -> str | None:
        """The version 2 directory, of which a descriptor serves CLONE_INTO_CGROUP."""
        return next((path for key, path in self.directories.items() if key.startswith("v2:")), None)

    # -- limits

    def set_limits(
        self,
        *,
        memory: int | None = None,
        swap: int | None = None,
        cpus: float | None = None,
        cpu_weight: int | None = None,
        cpuset: str | None = None,
        pids: int | None = None,
        io: Mapping[str, Mapping[str, int]] | None = None,
        devices: Iterable[Rule] | None = None,
    ) -> None:
        """Set what is given and leave the rest.

        Args:
            memory: bytes. Without `swap` the kernel may still swap beyond them.
            swap: bytes of swap beside the memory.
            cpus: CPUs' worth of time.
            cpu_weight: 1 to 10000; 100 is every group's default.
            cpuset: CPUs as in `0-3,5`.
            pids: tasks.
            io: by device (path or MAJOR:MINOR) any of `rbps`, `wbps` (bytes per second), `riops`,
                `wiops` (operations per second). A partition stands for its whole disk.
            devices: the devices that are allowed; no other is.
        """
        if memory is not None or swap is not None:
            self._knobs("memory").set_memory(memory, swap)
        if cpus is not None:
            self._knobs("cpu").set_cpus(cpus)
        if cpu_weight is not None:
            self._knobs("cpu").set_cpu_weight(cpu_weight)
        if cpuset is not None:
            self._knobs("cpuset").set_cpuset(cpuset)
        if pids is not None:
            self._knobs("pids").set_pids(pids)
        for device, rates in (io or {}).items():
            _check_rates(device, rates)
            self._knobs("io").set_io(blockdev.resolve(device), rates)
        if devices is not None:
            self._knobs("devices").set_devices(devices)

    def read_limits(self) -> dict[str, Reading]:
        """What the kernel says is in force, with the file that says so, by the names of
        `set_limits`; limits whose controllers the group has not are left out."""
        readings: dict[str, Reading] = {}
        for controller, reader in _READERS.items():
            knobs = self._find(controller)
            if knobs is not None:
                readings.update(getattr(knobs, reader)())
        knobs = self._find("devices")
        if knobs is not None:
            readings.update(_device_readings(knobs))
        return readings

    def _knobs(self, controller: str) -> Knobs:
        knobs = self._find(controller)
        if knobs is None:
            raise CgroupError(
                errno.ENOTSUP, f"this group was made without the controller {controller}"
            )
        return knobs

    def _find(self, controller: str) -> Knobs | None:
        for key, path in self.directories.items():
            version, controllers = _parse_key(key)
            if version == 1 and (controller if controller != "io" else "blkio") in controllers:
                return V1(path)
            if version == 2 and controller in controllers:
                return V2(path)
        if controller == "devices" and self.unified is not None:
            return V2(self.unified)
        return None

    # -- processes

    def pids(self) -> list[int]:
        """Every process in it, as this process's pid namespace counts them."""
        return members(self._tracker)

    def populated(self) -> bool:
        """Whether a live process is in any of its directories."""
        return any(kill.populated(path) for path in self.directories.values())

    def wait_empty(self, timeout: float) -> bool:
        """Wait until no live process is left; False when one is after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        return all(kill.wait_empty(path, deadline) for path in self.directories.values())

    def kill(self, timeout: float = 10.0) -> None:
        """Kill every process, forking or frozen ones too, and wait until none is left.

        Raises CgroupError (ETIMEDOUT) when some hang in the kernel.
        """
        kill.kill_all(self.directories.values(), timeout)

    def freeze(self, timeout: float = 2.0) -> None:
        """Stop every process. Raises CgroupError (ETIMEDOUT) when one can't be stopped; then all
        run on."""
        freezer = self._freezer
        if not kill.freeze(freezer, time.monotonic() + timeout):
            kill.thaw(freezer)
            raise CgroupError(
                errno.ETIMEDOUT, f"{freezer} isn't frozen after {timeout} seconds", freezer
            )

    def thaw(self) -> None:
        """Let the processes run on."""
        kill.thaw(self._freezer)

    def frozen(self) -> bool:
        """Whether every process is stopped."""
        return kill.frozen(self._freezer)

    @property
    def _tracker(self) -> str:
        return next(iter(self.directories.values()))

    @property
    def _freezer(self) -> str:
        for path in self.directories.values():
            if kill.freezable(path):
                return path
        raise CgroupError(errno.ENOTSUP, "this group has no freezer")

    # -- accounts and the end

    def usage(self) -> usage.Usage:
        """What it used up to now; readable until `remove`."""
        result = usage.Usage()
        for key, path in self.directories.items():
            (usage.add_v2 if key.startswith("v2:") else usage.add_v1)(result, path)
        return result

    def remove(self, timeout: float = 5.0) -> None:
        """Remove the directories and what the container made below. Idempotent.

        Kills nothing. Raises CgroupError (EBUSY) when processes are left after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        for path in self.directories.values():
            remove.remove(path, deadline)


def _check_recorded(key: str, path: str) -> None:
    """Refuse recorded data that no call of `Group.paths` has given."""
    name = path.rpartition("/")[2]
    place.check_name(name)
    if key[:3] not in ("v1:", "v2:"):
        raise CgroupError(errno.EINVAL, f"{key!r} is no cgroup hierarchy")
    if not path.startswith("/") or {"..", "."} & set(path.split("/")) or "\0" in path:
        raise CgroupError(errno.EINVAL, f"{path!r} is not a cgroup's directory", path)


def _parse_key(key: str) -> tuple[int, frozenset[str]]:
    version, _, controllers = key.partition(":")
    return int(version[1:]), frozenset(controllers.split(",")) - {""}


def _pass_on(parent: str, controllers: frozenset[str]) -> None:
    """Let children of a version 2 group have these controllers."""
    missing = controllers - place.passed_on(parent)
    if missing:
        asked = " ".join(f"+{name}" for name in sorted(missing))
        write(f"{parent}/cgroup.subtree_control", asked)


def _check_rates(device: str, rates: Mapping[str, int]) -> None:
    if not rates or set(rates) - set(RATES):
        raise CgroupError(
            errno.EINVAL, f"bounds on {device} are {', '.join(RATES)}, not {', '.join(rates)}"
        )


def _device_readings(knobs: Knobs) -> dict[str, Reading]:
    """The device rules; nothing where the kernel doesn't tell: no eBPF, or an ordinary user."""
    try:
        return knobs.read_devices()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL, errno.ENOSYS):
            return {}
        raise

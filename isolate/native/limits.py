"""The container's cgroups: which a spec needs, their limits, how a child enters, the receipt."""

from __future__ import annotations

import os
import stat

from isolate.errors import HostError, LaunchError, UnsupportedError
from isolate.linux import cgroup, process
from isolate.linux.cgroup import CgroupError, Group
from isolate.linux.cgroup.knobs import cpu_list
from isolate.native import defaults
from isolate.native.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.backend.types import Context, Handle, ReceiptRow
    from isolate.linux.cgroup.devices import Rule
    from isolate.native.step import Child
    from isolate.spec.model import Device, Limits, Spec

CGROUP_PREFIX = "cgroup."  # keys of Handle.data that hold the container's cgroup directories

# Which controller a limit needs.
_CONTROLLERS = {
    "memory": "memory",
    "memory_swap": "swap",
    "cpus": "cpu",
    "cpu_weight": "cpu",
    "cpuset": "cpuset",
    "pids": "pids",
    "io": "io",
}
# What is wanted for accounts and for killing, limits or not.
_ACCOUNTS = ("memory", "pids", "freezer", "devices")


def promised() -> frozenset[str]:
    """The limits that this process can have enforced on this host, as features."""
    usable = cgroup.usable_controllers(cgroup.discover())
    limits = {f"limits.{name}" for name, needed in _CONTROLLERS.items() if usable[needed] is None}
    return frozenset(limits) | {"limits.timeout", "limits.output"}


def promised_by_killing() -> frozenset[str]:
    """The limits that need only a sure way to kill every process of a container."""
    usable = cgroup.usable_controllers(cgroup.discover())
    return frozenset({"limits.timeout", "limits.output"} if usable["freezer"] is None else ())


def why_not() -> dict[str, str]:
    """For each limit that can't be had here, the reason."""
    usable = cgroup.usable_controllers(cgroup.discover())
    return {
        f"limits.{name}": reason
        for name, needed in _CONTROLLERS.items()
        if (reason := usable[needed]) is not None
    }


def controllers(spec: Spec) -> list[str]:
    """The controllers of a container: those its limits need, and of the others what can be had."""
    usable = cgroup.usable_controllers(cgroup.discover())
    asked = {_CONTROLLERS[name] for name in _CONTROLLERS if getattr(spec.limits, name)}
    asked |= {"swap"} if spec.limits.memory_swap is not None else set()
    return sorted(name for name in asked | set(_ACCOUNTS) if name in asked or usable[name] is None)


def describe(spec: Spec) -> str:
    """What is done about cgroups, as a sentence."""
    limits = spec.limits
    said = [f"{name}={getattr(limits, name)}" for name in _CONTROLLERS if getattr(limits, name)]
    bounds = f" with {', '.join(said)}" if said else ""
    return f"make cgroups for {', '.join(controllers(spec)) or 'nothing'}{bounds}"


def prepare(spec: Spec, context: Context) -> Group | None:
    """The container's group, made and limited before its first process is born in it.

    None where this user has no cgroups and the spec asks for no limit. Raises LaunchError.
    """
    wanted = controllers(spec)
    if not wanted:
        return None
    group = _create(context, wanted)
    limits = spec.limits
    pids = limits.pids
    if pids is None and _has(group, "pids"):
        pids = defaults.PIDS
    try:
        group.set_limits(
            memory=limits.memory,
            swap=limits.memory_swap,
            cpus=limits.cpus,
            cpu_weight=limits.cpu_weight,
            cpuset=limits.cpuset,
            pids=pids,
            io={row.device: _rates(row) for row in limits.io},
            devices=device_rules(spec.devices) if "devices" in wanted and _guards(spec) else None,
        )
    except CgroupError as error:
        raise LaunchError(f"a limit can't be set: {error}", hint=_limit_hint(error)) from None
    context.checkpoint("cgroup.limited")
    return group


def update(group: Group, limits: Limits) -> None:
    """Change the limits that are said. Raises UnsupportedError."""
    try:
        group.set_limits(
            memory=limits.memory,
            swap=limits.memory_swap,
            cpus=limits.cpus,
            cpu_weight=limits.cpu_weight,
            cpuset=limits.cpuset,
            pids=limits.pids,
            io={row.device: _rates(row) for row in limits.io},
        )
    except CgroupError as error:
        raise UnsupportedError(
            f"a limit can't be changed: {error}",
            hint="a limit of a kind that the container was made without can't be added",
        ) from None


def _guards(spec: Spec) -> bool:
    """Whether devices are confined: always, but in a privileged container."""
    return not spec.privileges.privileged


def prepare_tracking(context: Context) -> Group | None:
    """A group without limits, by which every process can be found and killed."""
    usable = cgroup.usable_controllers(cgroup.discover())
    return _create(context, ["freezer"]) if usable["freezer"] is None else None


def _create(context: Context, wanted: Iterable[str]) -> Group:
    name = f"{cgroup.PREFIX}{context.id}-{os.urandom(4).hex()}"
    try:
        directories = Group.paths(cgroup.discover(), name, wanted)
        context.journal.record("cgroup", paths=list(directories.values()))
        context.checkpoint("cgroup.recorded")
        group = Group(directories)
        group.create()
    except CgroupError as error:
        raise LaunchError(
            f"the cgroup can't be made: {error}", hint="`isolate doctor` says what is delegated"
        ) from None
    context.checkpoint("cgroup.made")
    return group


def _has(group: Group, controller: str) -> bool:
    return any(controller in key.partition(":")[2].split(",") for key in group.directories)


def _rates(row: object) -> dict[str, int]:
    names = ("rbps", "wbps", "riops", "wiops")
    return {name: value for name in names if (value := getattr(row, name)) is not None}


def _limit_hint(error: CgroupError) -> str:
    return f"the kernel or the host's cgroup settings refuse it ({error.filename or 'cgroup'})"


def device_rules(devices: Iterable[Device]) -> list[Rule]:
    """What the device cgroup allows: the default nodes and the spec's own. Raises HostError."""
    rules: list[Rule] = list(defaults.DEVICE_RULES)
    for device in devices:
        try:
            found = os.stat(device.path)
        except OSError as error:
            raise HostError(
                f"device {device.path}: {error.strerror}", hint="name a device node of the host"
            ) from None
        kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
        kind = kinds.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            raise HostError(f"{device.path} is not a device", hint="a file is shown by --volume")
        number = found.st_rdev
        rules.append((kind, os.major(number), os.minor(number), device.access))
    return rules


def entry(group: Group | None) -> cgroup.Entry:
    """The descriptors by which a child enters; empty where there is no group."""
    return cgroup.Entry(None, []) if group is None else group.open()


class EnterCgroups(Step):
    """Enter the container's cgroups before anything else: no process is ever outside its limits.

    Being born in the version 2 group and moving its own only thread into the others costs the
    first process microseconds; being moved by its parent costs some ten milliseconds.
    """

    __slots__ = ("_entry",)
    name = "cgroup.enter"

    def __init__(self, entry: cgroup.Entry | None) -> None:
        self._entry = entry

    def describe(self) -> str:
        return "enter the container's cgroups"

    def run(self, child: Child) -> None:
        if self._entry is not None:
            self._entry.enter()


def record_process(context: Context, pid: int) -> None:
    """Enter the first process in the journal."""
    context.journal.record("process", pid=pid, start_time=process.start_time(pid))


def write_oom_score_adj(pid: int, value: int) -> None:
    """Adjust the OOM score. Raises HostError where lowering it isn't allowed."""
    try:
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(
            f"oom_score_adj can't be set to {value}: {error.strerror}",
            hint="lowering it needs CAP_SYS_RESOURCE",
        ) from None


def handle_data(group: Group | None) -> dict[str, str]:
    """The group as part of a handle's data."""
    if group is None:
        return {}
    return {f"{CGROUP_PREFIX}{key}": path for key, path in group.directories.items()}


def group_of(handle: Handle) -> Group | None:
    """The container's group, from the handle."""
    directories = {
        key.removeprefix(CGROUP_PREFIX): str(value)
        for key, value in handle.data.items()
        if key.startswith(CGROUP_PREFIX)
    }
    return Group(directories) if directories else None


def receipt(spec: Spec, handle: Handle) -> list[ReceiptRow]:
    """Each limit as the kernel has it, against what was asked."""
    from isolate.native.receipt import row

    group = group_of(handle)
    if group is None:
        return []
    asked = _asked(spec)
    return [
        row(
            f"limits.{name}",
            asked[name],
            reading.value,
            reading.file,
            holds=_holds(name, asked[name], reading.value),
        )
        for name, reading in _by_limit(group.read_limits()).items()
        if name in asked
    ]


def _by_limit(readings: dict[str, cgroup.Reading]) -> dict[str, cgroup.Reading]:
    return {("memory_swap" if name == "swap" else name): value for name, value in readings.items()}


def _asked(spec: Spec) -> dict[str, object]:
    limits = spec.limits
    values: dict[str, object] = {name: getattr(limits, name) for name in _CONTROLLERS}
    values["io"] = {row.device: _rates(row) for row in limits.io} or None
    values["pids"] = limits.pids if limits.pids is not None else defaults.PIDS
    return {name: value for name, value in values.items() if value is not None}


def _holds(name: str, asked: object, enforced: object) -> bool:
    """Whether the kernel's value is at least as tight, but for its rounding."""
    if enforced is None:
        return False
    if name == "cpuset":
        return cpu_list(str(enforced)) <= cpu_list(str(asked))
    if name == "cpu_weight":
        return abs(float(str(enforced)) - float(str(asked))) <= max(1.0, 0.05 * float(str(asked)))
    if isinstance(asked, dict):
        return isinstance(enforced, dict) and len(enforced) >= len(asked)
    return float(str(enforced)) <= float(str(asked)) * 1.001 + 1e-4

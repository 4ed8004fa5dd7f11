"""Where a new container's groups go, and which controllers they would really have.

Version 1: a child of this process's own group on each hierarchy that is needed. Version 2: a child
of the nearest group, the own one or above it, that can pass the needed controllers on; see
cgroup-v2.rst, "No Internal Process Constraint" and "Delegation".
"""

from __future__ import annotations

import errno
import os

from isolate.linux.cgroup import devices
from isolate.linux.cgroup.files import CgroupError, read_if_there
from isolate.linux.cgroup.layout import v1_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isolate.linux.cgroup.layout import Hierarchy, Layout

CONTROLLERS = ("memory", "swap", "cpu", "cpuset", "pids", "io", "devices", "freezer")
PREFIX = "isolate-"  # what garbage collection may remove bears this name

_ACCOUNTING = "cpuacct"  # asked for as a controller; only pure version 1 has one
_KERNEL_NAME = {"swap": "memory"}
_V1_FILE = {
    "memory": "memory.limit_in_bytes",
    "swap": "memory.memsw.limit_in_bytes",
    "cpu": "cpu.cfs_quota_us",
    "cpuset": "cpuset.cpus",
    "io": "blkio.throttle.read_bps_device",
    "devices": "devices.allow",
}


def paths(layout: Layout, name: str, controllers: Iterable[str]) -> dict[str, str]:
    """The directories of a new container, which aren't made yet, by their hierarchy.

    Keys are `v2:CONTROLLERS` (those to be passed on to it, maybe none) and `v1:CONTROLLERS`
    (those of the hierarchy). There is always one by which every process can be found and killed.
    Raises CgroupError where a controller can't be had, or the name isn't one.
    """
    check_name(name)
    parents = _parents(layout, frozenset(controllers))
    return {key: f"{parent.rstrip('/')}/{name}" for key, parent in parents.items()}


def check_name(name: str) -> None:
    """Refuse a name that could leave its parent, or that `remove_paths` wouldn't remove."""
    bad = {"/", "\0", "\n"} & set(name)
    if bad or not name.startswith(PREFIX) or name == PREFIX or len(os.fsencode(name)) > 255:
        raise CgroupError(
            errno.EINVAL, f"{name!r} can't name a container's cgroup ({PREFIX}..., without '/')"
        )


def usable_controllers(layout: Layout) -> Mapping[str, str | None]:
    """For each of CONTROLLERS why a new group of this process couldn't have it; None when it
    could. Changes nothing. Looked up once for a layout: it takes some 150 system calls."""
    if layout.usable is None:
        layout.usable = {name: _why_not(layout, name) for name in CONTROLLERS}
    return layout.usable


def _why_not(layout: Layout, controller: str) -> str | None:
    try:
        found = _parents(layout, frozenset((controller,)))
    except CgroupError as error:
        return error.strerror
    if controller == "swap" and layout.unified and any(key == "v2:memory" for key in found):
        return _no_swap_in_v2(layout.unified)
    return None


def _parents(layout: Layout, asked: frozenset[str]) -> dict[str, str]:
    """The directories in which the groups are to be made, by the key of their hierarchy."""
    if unknown := asked - {*CONTROLLERS, _ACCOUNTING}:
        raise CgroupError(errno.EINVAL, f"no such controller: {', '.join(sorted(unknown))}")
    unified = layout.unified
    pass_on: set[str] = set()
    old: dict[str, Hierarchy] = {}
    for controller in sorted(asked - {"devices", "freezer", _ACCOUNTING}):
        home = layout.find(_KERNEL_NAME.get(controller, controller))
        if home is None:
            raise CgroupError(errno.ENOTSUP, f"no cgroup hierarchy has the controller {controller}")
        if home is unified:
            pass_on.add(_KERNEL_NAME.get(controller, controller))
        else:
            _need_v1(old, home, controller)
    parent = _unified_parent(layout, frozenset(pass_on))
    if "devices" in asked:
        _add_devices(layout, old, parent)
    if _ACCOUNTING in asked and parent is None:
        _need_v1(old, _existing(layout, _ACCOUNTING), _ACCOUNTING)
    if parent is None or not _can_freeze(parent):
        wanted = ("freezer",) if "freezer" in asked else ("freezer", "pids")
        _add_tracking(layout, old, wanted, required=parent is None or "freezer" in asked)
    result = {} if parent is None else {f"v2:{','.join(sorted(pass_on))}": parent}
    return result | {f"v1:{names}": home.directory for names, home in sorted(old.items())}


def _existing(layout: Layout, controller: str) -> Hierarchy:
    home = layout.find(controller)
    if home is None:
        raise CgroupError(errno.ENOTSUP, f"no cgroup hierarchy has the controller {controller}")
    return home


def _need_v1(old: dict[str, Hierarchy], home: Hierarchy, controller: str) -> None:
    reason = _v1_obstacle(home, controller)
    if reason is not None:
        raise CgroupError(errno.EACCES, reason, home.directory)
    old[",".join(sorted(home.controllers))] = home


def _v1_obstacle(home: Hierarchy, controller: str) -> str | None:
    directory = home.directory
    if not os.path.isdir(directory):
        return f"this process's own cgroup {directory} does not exist (any more)"
    file = _V1_FILE.get(controller)
    if file is not None and not os.path.exists(f"{directory}/{file}"):
        return f"this kernel lacks {file} ({v1_name(controller)} controller)"
    if not _writable(directory):
        return f"{directory} is not writable for this user"
    return None


def _add_devices(layout: Layout, old: dict[str, Hierarchy], parent: str | None) -> None:
    """Version 1's controller where it can be had, as loading a program costs more; else eBPF."""
    home = layout.find("devices")
    reason = "no devices controller" if home is None else _v1_obstacle(home, "devices")
    if home is not None and reason is None:
        _need_v1(old, home, "devices")
        return
    programs = "no version 2 group" if parent is None else devices.obstacle(parent)
    if programs is not None:
        raise CgroupError(errno.ENOTSUP, f"{reason}, and {programs}")


def _add_tracking(
    layout: Layout, old: dict[str, Hierarchy], wanted: tuple[str, ...], *, required: bool
) -> None:
    """Version 1's freezer stops a fork bomb so that it can be killed; `pids` does, if need be."""
    reasons = []
    for controller in wanted:
        home = layout.find(controller)
        if home is None or home.version == 2:
            reasons.append(f"no {controller} hierarchy")
            continue
        reason = _v1_obstacle(home, controller)
        if reason is None:
            old[",".join(sorted(home.controllers))] = home
            return
        reasons.append(reason)
    if required:
        raise CgroupError(
            errno.ENOTSUP, f"no cgroup by which processes can be tracked: {'; '.join(reasons)}"
        )


def _unified_parent(layout: Layout, pass_on: frozenset[str]) -> str | None:
    """The version 2 parent; None when there is none and no controller needs one."""
    if layout.unified is None:
        return None
    parent, reasons = nearest(layout.unified, pass_on)
    if parent is None and (pass_on or layout.mode == "v2"):
        what = f"pass on {', '.join(sorted(pass_on))}" if pass_on else "hold a container"
        raise CgroupError(errno.EACCES, f"no cgroup here can {what}: {'; '.join(reasons)}")
    return parent


def nearest(unified: Hierarchy, pass_on: frozenset[str]) -> tuple[str | None, list[str]]:
    """The nearest group, own or above, that can pass controllers on; else why each can't."""
    reasons = []
    for directory in unified.ancestry():
        reason = _v2_obstacle(directory, pass_on)
        if reason is None:
            return directory, []
        reasons.append(f"{directory} {reason}")
    return None, reasons


def _v2_obstacle(directory: str, pass_on: frozenset[str]) -> str | None:
    available = read_if_there(f"{directory}/cgroup.controllers")
    if available is None:
        return "does not exist (any more)"
    if missing := pass_on - set(available.split()):
        return f"does not have {', '.join(sorted(missing))}"
    kind = read_if_there(f"{directory}/cgroup.type")  # the hierarchy's real root has no such file
    if kind is not None and kind.strip() != "domain":
        return f"is of type {kind.strip()}"
    if kind is not None and pass_on and read_if_there(f"{directory}/cgroup.procs"):
        return "has processes of its own"
    # cgroup.procs: migration needs it in the common ancestor of the old group and the new
    files = ["", "/cgroup.procs"]
    if not pass_on <= passed_on(directory):
        files.append("/cgroup.subtree_control")
    if not all(_writable(f"{directory}{file}") for file in files):
        return "is not delegated to this user"
    return None


def passed_on(directory: str) -> frozenset[str]:
    """The controllers that a version 2 group passes on to its children."""
    return frozenset((read_if_there(f"{directory}/cgroup.subtree_control") or "").split())


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _can_freeze(parent: str) -> bool:
    """Whether groups below have cgroup.freeze (Linux 5.2); the real root itself never has."""
    if os.path.exists(f"{parent}/cgroup.freeze"):
        return True
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(part) for part in numbers if part.isdigit()) >= (5, 2)


def _no_swap_in_v2(unified: Hierarchy) -> str | None:
    """Why new groups would have no memory.swap.max: seen in groups that have memory.max."""
    groups = list(unified.ancestry())
    with os.scandir(unified.mountpoint) as entries:
        groups += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    for group in groups:
        if os.path.exists(f"{group}/memory.max"):
            seen = os.path.exists(f"{group}/memory.swap.max")
            return None if seen else "this kernel has no memory.swap.max: no swap accounting"
    return None if os.path.exists("/proc/swaps") else "this kernel has no swap"

"""A spec as bwrap's options, bwrap(1): one page that says how bwrap is told to contain a program.

bwrap follows its options in their order. No path of the host stands in them but those of the
stage, where everything was prepared, and of the kernel's own files.
"""

from __future__ import annotations

import os

from isolate.spec import defaults
from isolate.spec.meaning import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isolate.spec.model import Mount, Spec

ROOT = "root"  # names on the stage
_UNSHARE = {
    "pids": "--unshare-pid",
    "network": "--unshare-net",
    "ipc": "--unshare-ipc",
    "hostname": "--unshare-uts",
    "cgroups": "--unshare-cgroup",
}


class Choices:
    """What was decided about a spec on this host; bwrap's options follow from it and the spec.

    Attributes:
        views: the namespaces; those of users and mounts bwrap is started in.
        stage: the directory where bwrap finds what was prepared.
        hostname: the host name.
        attached: whether the program must not outlive the process that launches it.
        filtered: whether there is a system call filter.
    """

    __slots__ = ("attached", "filtered", "hostname", "stage", "views")

    def __init__(
        self, *, views: frozenset[str], stage: str, hostname: str, attached: bool, filtered: bool
    ) -> None:
        self.views = views
        self.stage = stage
        self.hostname = hostname
        self.attached = attached
        self.filtered = filtered


class Found:
    """What is known of the root once it is there.

    Attributes:
        home: the home directory of the root's root user.
        points: mount points without symbolic links, by the path in the spec.
        masked: the paths to hide, each with whether it is a directory.
        descriptors: the numbers of bwrap's descriptors: info, block, seccomp.
    """

    __slots__ = ("descriptors", "home", "masked", "points")

    def __init__(
        self,
        *,
        home: str,
        points: Mapping[str, str],
        masked: Sequence[tuple[str, bool]],
        descriptors: Mapping[str, int],
    ) -> None:
        self.home = home
        self.points = points
        self.masked = masked
        self.descriptors = descriptors


def options(spec: Spec, chosen: Choices, found: Found) -> list[list[str]]:
    """The options, each with its values."""
    return [
        *[[_UNSHARE[view]] for view in sorted(chosen.views) if view in _UNSHARE],
        ["--as-pid-1"],
        ["--new-session"],
        *([["--die-with-parent"]] if chosen.attached else []),
        *([["--hostname", chosen.hostname]] if "hostname" in chosen.views else []),
        ["--cap-drop", "ALL"],
        ["--info-fd", str(found.descriptors["info"])],
        ["--block-fd", str(found.descriptors["block"])],
        *([["--seccomp", str(found.descriptors["seccomp"])]] if chosen.filtered else []),
        ["--clearenv"],
        *[["--setenv", *item] for item in environment(spec, found.home).items()],
        ["--bind", f"{chosen.stage}/{ROOT}", "/"],
        *_kernel_filesystems(chosen),
        *_mounts(spec, chosen, found),
        *_masks(found),
        ["--remount-ro", "/dev"],
        *([["--remount-ro", "/"]] if spec.root.readonly else []),
        ["--chdir", spec.process.cwd],
    ]


def environment(spec: Spec, home: str) -> dict[str, str]:
    """The program's variables. bwrap adds PWD."""
    return {"PATH": DEFAULT_PATH, "HOME": home, **spec.process.env}


def _kernel_filesystems(chosen: Choices) -> list[list[str]]:
    """Read-only by options of ours. Alone bwrap covers only what access(2) says can be written, and
    /proc/sys is a directory that nobody may write to, of files that root may."""
    shown = [path for path in defaults.READONLY_PATHS if os.path.exists(path)]
    return [
        ["--proc", "/proc"],
        *[["--ro-bind", path, path] for path in shown],
        *_empty("/sys"),  # bwrap has no sysfs of the container's own network
        ["--dev", "/dev"],
        ["--perms", "1777"],
        ["--size", str(defaults.SHM_BYTES)],
        ["--tmpfs", "/dev/shm"],
        *([["--mqueue", "/dev/mqueue"]] if "ipc" in chosen.views else []),
    ]


def _mounts(spec: Spec, chosen: Choices, found: Found) -> list[list[str]]:
    made: list[list[str]] = []
    if spec.root.source == "host":  # its own files, but not its sockets and scratch space
        for path, mode in defaults.HIDDEN_OF_HOST:
            made += [["--perms", mode], ["--tmpfs", path]]
    for number, asked in enumerate(spec.mounts):
        target = found.points.get(asked.target, asked.target)
        if asked.type == "bind":  # what was prepared has its other attributes
            option = "--dev-bind" if asked.dev else "--bind"
            made.append([option, f"{chosen.stage}/{mount_name(number)}", target])
        elif asked.type == "tmpfs":
            made += _tmpfs(asked, target)
    for number, device in enumerate(spec.devices):
        target = device.target or device.path
        source = f"{chosen.stage}/{device_name(number)}"
        made.append(["--dev-bind", source, found.points.get(target, target)])
    return made


def staged(spec: Spec) -> list[str]:
    """The names of what bwrap finds on the stage."""
    binds = [number for number, asked in enumerate(spec.mounts) if asked.type == "bind"]
    devices = range(len(spec.devices))
    return [ROOT, *map(mount_name, binds), *map(device_name, devices)]


def mount_name(number: int) -> str:
    """A volume's name on the stage."""
    return f"mount.{number}"


def device_name(number: int) -> str:
    """A device's name on the stage."""
    return f"device.{number}"


def _tmpfs(asked: Mount, target: str) -> list[list[str]]:
    return [
        ["--perms", f"{0o1777 if asked.mode is None else asked.mode:04o}"],
        *([["--size", str(asked.size)]] if asked.size is not None else []),
        ["--tmpfs", target],
        *([["--remount-ro", target]] if asked.readonly else []),
    ]


def _masks(found: Found) -> list[list[str]]:
    made: list[list[str]] = []
    for path, directory in found.masked:
        made += _empty(path) if directory else [["--dev-bind", "/dev/null", path]]
    return made


def _empty(path: str) -> list[list[str]]:
    return [["--perms", "0555"], ["--tmpfs", path], ["--remount-ro", path]]

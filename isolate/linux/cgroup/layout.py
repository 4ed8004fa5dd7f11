"""Which cgroup hierarchies this process sees, and where it is in each: read, never assumed.

Sources: cgroups(7), proc_pid_mountinfo(5), cgroup_namespaces(7).
"""

from __future__ import annotations

import os

from isolate.linux.cgroup.files import read, read_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

V1 = "v1"
V2 = "v2"
HYBRID = "hybrid"


class Mount:
    """One line of mountinfo: where a filesystem is mounted, and which part of it."""

    __slots__ = ("fstype", "options", "path", "root")

    def __init__(self, root: str, path: str, fstype: str, options: frozenset[str]) -> None:
        self.root = root
        self.path = path
        self.fstype = fstype
        self.options = options

    def locate(self, cgroup: str) -> str | None:
        """The directory of a cgroup in this mount; None when the mount doesn't reach it.

        `cgroup` and `root` are both as /proc shows them, that is relative to the reader's cgroup
        namespace, so that `/..` at the front of either is just a name to compare.
        """
        below = _relative(cgroup, self.root)
        if below is None or ".." in below.split("/"):
            return None
        return self.path.rstrip("/") + below or "/"


def _relative(path: str, root: str) -> str | None:
    """What follows `root` in `path`: empty, or it begins with a slash."""
    root = root.rstrip("/")
    if path.rstrip("/") == root:
        return ""
    return path[len(root) :].rstrip("/") if path.startswith(f"{root}/") else None


class Hierarchy:
    """One tree of cgroups.

    Attributes:
        version: 1 or 2.
        controllers: the kernel's names of what it controls (`blkio` in version 1, `io` in 2).
        cgroup: this process's own group, as /proc/self/cgroup names it.
        mountpoint: where the tree, or the part that is visible here, is mounted.
        directory: the directory of this process's own group.
    """

    __slots__ = ("cgroup", "controllers", "directory", "mountpoint", "version")

    def __init__(
        self,
        version: int,
        controllers: frozenset[str],
        cgroup: str,
        mountpoint: str,
        directory: str,
    ) -> None:
        self.version = version
        self.controllers = controllers
        self.cgroup = cgroup
        self.mountpoint = mountpoint
        self.directory = directory

    def ancestry(self) -> Iterator[str]:
        """The own group's directory, then its parents', up to the mount point."""
        here = self.directory
        while here != self.mountpoint:
            yield here
            here = here.rpartition("/")[0]
        yield here

    def __repr__(self) -> str:
        names = ",".join(sorted(self.controllers))
        return f"Hierarchy(v{self.version}:{names} at {self.directory})"


class Layout:
    """The hierarchies that this process can see.

    Attributes:
        usable: what `place.usable_controllers` found of them; None until it is asked.
    """

    __slots__ = ("hierarchies", "usable")

    def __init__(self, hierarchies: Iterable[Hierarchy]) -> None:
        self.hierarchies = tuple(hierarchies)
        self.usable: Mapping[str, str | None] | None = None

    @property
    def unified(self) -> Hierarchy | None:
        """The version 2 hierarchy."""
        return next((each for each in self.hierarchies if each.version == 2), None)

    @property
    def mode(self) -> str | None:
        """`v1`, `v2`, or `hybrid` when both are mounted; None when no cgroup is visible at all."""
        versions = {each.version for each in self.hierarchies}
        if len(versions) == 2:
            return HYBRID
        return {1: V1, 2: V2}[versions.pop()] if versions else None

    def find(self, controller: str) -> Hierarchy | None:
        """The hierarchy on which a controller lives, by version 2's name for it (`io`)."""
        for each in self.hierarchies:
            if v1_name(controller) in each.controllers and each.version == 1:
                return each
            if controller in each.controllers and each.version == 2:
                return each
        return None

    def without(self, *controllers: str) -> Layout:
        """The same layout as if some controllers were not there."""
        gone = {*controllers, *map(v1_name, controllers)}
        rest = (
            Hierarchy(
                each.version, each.controllers - gone, each.cgroup, each.mountpoint, each.directory
            )
            for each in self.hierarchies
        )
        return Layout(each for each in rest if each.controllers or each.version == 2)


def v1_name(controller: str) -> str:
    """The name that version 1 has for a controller of version 2."""
    return "blkio" if controller == "io" else controller


def discover() -> Layout:
    """The layout as this process sees it. Raises OSError where /proc can't be read.

    One object for as long as the kernel tells the same and the user is the same: what is usable
    there is kept with it.
    """
    found = read("/proc/self/mountinfo"), read("/proc/self/cgroup")
    key = (*found, os.geteuid())
    if key not in _parsed:
        _parsed.clear()
        _parsed[key] = parse(*found, _unified_controllers)
    return _parsed[key]


_parsed: dict[tuple[str, str, int], Layout] = {}


def _unified_controllers(mountpoint: str) -> str:
    return read_if_there(f"{mountpoint}/cgroup.controllers") or ""


def parse(mountinfo: str, membership: str, unified_controllers: Callable[[str], str]) -> Layout:
    """The layout that follows from the text of /proc/self/mountinfo and /proc/self/cgroup.

    `unified_controllers` gives the content of `cgroup.controllers` below a mount point.
    """
    mounts = [mount for mount in parse_mounts(mountinfo) if mount.fstype in ("cgroup", "cgroup2")]
    found = []
    for controllers, cgroup in parse_membership(membership):
        if controllers is None:
            candidates = [mount for mount in mounts if mount.fstype == "cgroup2"]
        else:
            candidates = [mount for mount in mounts if controllers & mount.options]
        place = _best(candidates, cgroup)
        if place is None:
            continue
        mountpoint, directory = place
        if controllers is None:
            unified = frozenset(unified_controllers(mountpoint).split())
            found.append(Hierarchy(2, unified, cgroup, mountpoint, directory))
        else:
            found.append(Hierarchy(1, controllers, cgroup, mountpoint, directory))
    return Layout(found)


def _best(candidates: list[Mount], cgroup: str) -> tuple[str, str] | None:
    """Mount point and directory by the mount that shows the most of the tree above `cgroup`."""
    best: Mount | None = None
    for mount in candidates:
        reaches = mount.locate(cgroup) is not None
        if reaches and (best is None or len(mount.root) < len(best.root)):
            best = mount
    if best is None:
        return None
    directory = best.locate(cgroup)
    return None if directory is None else (best.path, directory)


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The mounts of a mountinfo text; of several on one mount point the uppermost."""
    mounts: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        fields, filesystem = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(filesystem) < 3:
            continue
        path = _unescape(fields[4])
        mounts.pop(path, None)
        options = frozenset(filesystem[-1].split(","))
        mounts[path] = Mount(_unescape(fields[3]), path, filesystem[0], options)
    return list(mounts.values())


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes of space, tab, newline, backslash."""
    first, *others = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in others)


def parse_membership(text: str) -> list[tuple[frozenset[str] | None, str]]:
    """The lines of /proc/PID/cgroup as (controllers, cgroup); None for version 2's.

    Named hierarchies without a controller (`name=systemd`) are left out.
    """
    result: list[tuple[frozenset[str] | None, str]] = []
    for line in text.splitlines():
        number, names, cgroup = line.split(":", 2)
        if number == "0" and not names:
            result.append((None, cgroup))
            continue
        controllers = frozenset(name for name in names.split(",") if not name.startswith("name="))
        if controllers - {""}:
            result.append((controllers, cgroup))
    return result

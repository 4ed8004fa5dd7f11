"""Where the runtime puts a container's cgroups, and how it is made to put them below our own.

A runtime takes cgroupsPath from the root of each hierarchy (crun always, runc for absolute paths),
which would lead a container out of the limits that its maker is under. So in the runtime's own
mount namespace each version 1 hierarchy shows our own group as its root.
"""

from __future__ import annotations

import os

from isolate.linux import cgroup
from isolate.linux.cgroup.layout import Hierarchy, Layout, parse_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Places:
    """A container's cgroups: `directories` as `Group` takes them, `path` for config.json."""

    __slots__ = ("directories", "path")

    def __init__(self, directories: dict[str, str], path: str) -> None:
        self.directories = directories
        self.path = path


def places(id: str, controllers: list[str]) -> Places:
    """The directories that the runtime will make; none is made here. Raises CgroupError."""
    name = f"{cgroup.PREFIX}{id}-{os.urandom(4).hex()}"
    layout = cgroup.discover()
    if layout.mode == "v2" and layout.unified is not None:
        found = cgroup.Group.paths(layout, name, controllers)
        path = next(iter(found.values())).removeprefix(layout.unified.mountpoint)
        return Places(found, path)
    old = Layout(each for each in layout.hierarchies if each.version == 1)
    found = cgroup.Group.paths(old, name, controllers)  # refuses controllers that can't be had
    for each in old.hierarchies:
        found[f"v1:{','.join(sorted(each.controllers))}"] = f"{each.directory}/{name}"
    for each in _named():
        found[f"v1:{','.join(sorted(each.controllers))}"] = f"{each.directory}/{name}"
    return Places(found, f"/{name}")


def foreign_roots() -> list[tuple[str, str]]:
    """(our own group's directory, mount point) of each version 1 hierarchy where they differ."""
    layout = cgroup.discover()
    old = [each for each in layout.hierarchies if each.version == 1]
    return [
        (each.directory, each.mountpoint)
        for each in (*old, *_named())
        if each.directory != each.mountpoint
    ]


def unified_of_hybrid() -> str | None:
    """Where version 2 is mounted beside version 1; crun refuses to work with both."""
    layout = cgroup.discover()
    beside = layout.mode == "hybrid" and layout.unified is not None
    return layout.unified.mountpoint if beside and layout.unified is not None else None


def _named() -> Iterator[Hierarchy]:
    """The hierarchies without a controller (`name=systemd`), in which runtimes make groups too."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [mount for mount in parse_mounts(file.read()) if mount.fstype == "cgroup"]
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _number, names, path in rows:
        for mount in mounts if names.startswith("name=") else ():
            directory = mount.locate(path) if names in mount.options else None
            if directory is not None:
                yield Hierarchy(1, frozenset((names,)), path, mount.path, directory)
                break

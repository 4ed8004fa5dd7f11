"""Where our own cgroups are, and which directories lie there; read from proc, in v1, v2 and both.

Written apart from `isolate.linux`, so that the tests don't believe what they test.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Hierarchy(NamedTuple):
    """One mounted hierarchy: its mount point, our own cgroup's directory, its controllers."""

    mount_point: str
    directory: str
    controllers: list[str]


def own() -> list[Hierarchy]:
    """The hierarchies that we are in (cgroups(7), proc_pid_mountinfo(5))."""
    paths = _paths()
    found = []
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            root, mount_point = left.split()[3:5]
            fstype, _, options = right.split(maxsplit=2)
            if fstype == "cgroup2":
                directory = _below(mount_point, root, paths.get("", "/"))
                found.append(Hierarchy(mount_point, directory, _words(directory)))
            elif fstype == "cgroup":
                names = options.strip().split(",")
                path = next((path for key, path in paths.items() if key.split(",")[0] in names), "")
                directory = _below(mount_point, root, path)
                found.append(Hierarchy(mount_point, directory, names))
    return found


def directories() -> set[str]:
    """The cgroups in which a container's may lie: those beside and above our own, ours, and all
    that are named after isolate, to any depth."""
    found: set[str] = set()
    for hierarchy in own():
        bases = {hierarchy.mount_point, hierarchy.directory}
        for base in bases:
            for path in _children(base):
                found.add(path)
                if os.path.basename(path).startswith("isolate"):
                    found.update(_below_all(path))
    return found


def processes(directory: str) -> set[int]:
    """The processes in the cgroup itself; empty when it is gone."""
    try:
        with open(f"{directory}/cgroup.procs") as lines:
            return {int(line) for line in lines}
    except OSError:
        return set()


def _paths() -> dict[str, str]:
    with open("/proc/self/cgroup") as lines:
        fields = (line.rstrip("\n").split(":", 2) for line in lines)
        return {controllers: path for _, controllers, path in fields}


def _below(mount_point: str, root: str, path: str) -> str:
    return (mount_point + path.removeprefix(root.rstrip("/"))).rstrip("/")


def _words(directory: str) -> list[str]:
    try:
        with open(f"{directory}/cgroup.controllers") as file:
            return file.read().split()
    except OSError:
        return []


def _children(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _below_all(directory: str) -> set[str]:
    children = _children(directory)
    return set(children).union(*(_below_all(child) for child in children))

"""What a container may not leave behind: processes, cgroups, mounts, links, files, descriptors."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import time
from typing import TYPE_CHECKING

from isolate.linux.cgroup import PREFIX
from isolate.testing import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE = 3.0  # seconds that the kernel may take to tear down what was let go of
_PLACES = ("/run", "/dev/shm", "/var/tmp", "/var/lib", "/run/lock", "/run/user")
_MOST = 20_000  # directories that are looked into


class Traces:
    """What there is at one moment, by kind.

    Args:
        token: the mark of this test's processes, and a part of its containers' ids.
        state: the state directory.
    """

    def __init__(self, token: str, state: str) -> None:
        self._token = token
        self._state = state
        self._before = self._look()

    def left(self) -> list[str]:
        """What has been left since, each with its kind; waits a little for what is being undone."""
        deadline = time.monotonic() + GRACE
        pause = 0.002
        while found := self._since():
            if time.monotonic() > deadline:
                break
            gc.collect()  # an unreachable object may hold a descriptor
            time.sleep(pause)
            pause = min(2 * pause, 0.2)
        return found

    def _since(self) -> list[str]:
        return [
            f"{kind} {_shown(kind, item)}"
            for kind, items in self._look().items()
            for item in sorted(items - self._before.get(kind, set()))
            if kind != "cgroup" or not self._is_foreign(item)
        ]

    def _look(self) -> dict[str, set[str]]:
        return {
            "process": {f"{one.pid} {one.start_time}" for one in processes.ours(self._token)},
            "cgroup": set(_cgroups()),
            "mount": set(_lines("/proc/self/mountinfo")),
            "link": _names("/sys/class/net"),
            "network namespace": _names("/run/netns"),
            "file": set(self._files()),
            "descriptor": _descriptors(),
        }

    def _is_foreign(self, cgroup: str) -> bool:
        """Whether it is somebody else's: other programs make cgroups too."""
        if self._token in cgroup:
            return False
        if os.path.basename(cgroup).startswith(PREFIX):
            return True  # of a container with another id
        pids = {int(line) for line in _lines(f"{cgroup}/cgroup.procs") if line.isdigit()}
        return bool(pids) and not pids & {one.pid for one in processes.ours(self._token)}

    def _files(self) -> Iterator[str]:
        """What lies in the state directory's folders, and what is named after a container
        elsewhere."""
        for folder in _names(self._state):
            path = f"{self._state}/{folder}"
            yield from (f"{path}/{name}" for name in _names(path))
        for place in {*_PLACES, tempfile.gettempdir()}:
            for name in _names(place):
                yield from self._named(f"{place}/{name}")

    def _named(self, path: str) -> Iterator[str]:
        inside = [] if os.path.islink(path) else [f"{path}/{name}" for name in _names(path)]
        yield from (one for one in (path, *inside) if self._token in os.path.basename(one))


def _shown(kind: str, item: str) -> str:
    return processes.described(int(item.split(maxsplit=1)[0])) if kind == "process" else item


def _cgroups() -> Iterator[str]:
    """Every cgroup directory that can be seen."""
    count = 0
    for line in _lines("/proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup"):
            for directory, _folders, _files in os.walk(left.split(" ")[4]):
                count += 1
                if count > _MOST:
                    return
                yield directory


def _descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _names(path: str) -> set[str]:
    try:
        return set(os.listdir(path))
    except OSError:
        return set()

"""Removing groups, also from recorded paths alone, which may be wrong or forged."""

from __future__ import annotations

import errno
import os
import time

from isolate.linux.cgroup.files import CgroupError, members, read, tree
from isolate.linux.cgroup.kill import kill_all
from isolate.linux.cgroup.layout import parse_mounts
from isolate.linux.cgroup.place import PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_PAUSE = 0.0002  # seconds
_LAST_PAUSE = 0.05


def remove(directory: str, deadline: float) -> None:
    """Remove a group and all below it, deepest first, again until it is gone.

    A group stays busy for a moment after its last process ended. Nothing to do is no error.
    Raises CgroupError (EBUSY) when it is busy still at the deadline (time.monotonic()).
    """
    pause = _FIRST_PAUSE
    while not _sweep(directory):
        left = deadline - time.monotonic()
        if left <= 0:
            raise _busy(directory)
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LAST_PAUSE)


def _sweep(directory: str) -> bool:
    """Remove what can be removed now; whether nothing is left."""
    try:
        os.rmdir(directory)  # mostly there is nothing below
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise CgroupError(
                error.errno, f"{directory} can't be removed: {error.strerror}", directory
            ) from None
    else:
        return True
    for group in tree(directory):
        try:
            os.rmdir(group)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
                raise CgroupError(
                    error.errno, f"{group} can't be removed: {error.strerror}", group
                ) from None
    return not os.path.exists(directory)


def _busy(directory: str) -> CgroupError:
    pids = members(directory)
    held = f"processes {', '.join(map(str, pids[:8]))} are in it" if pids else "the kernel holds it"
    return CgroupError(errno.EBUSY, f"{directory} is not empty: {held}", directory)


def remove_paths(paths: Iterable[str], timeout: float = 10.0) -> None:
    """Kill what is inside these groups and remove them; those that are gone already are no error.

    All are tried. Raises CgroupError for a path that isn't below a cgroup mount, holds `..` or
    doesn't bear the prefix of our groups (before anything is touched), and for the first group
    that can't be removed.
    """
    directories = [path for path in map(_of_good_form, paths) if os.path.isdir(path)]
    if not directories:
        return
    _refuse_strangers(directories)
    failure: OSError | None = None
    try:
        kill_all(directories, timeout / 2)
    except OSError as error:
        failure = error
    deadline = time.monotonic() + timeout / 2
    for directory in directories:
        try:
            remove(directory, deadline)
        except OSError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _of_good_form(path: str) -> str:
    """The path, if a group of ours can have it; see `remove_paths`."""
    problem = _bad_form(path)
    if problem is not None:
        raise _distrusted(path, problem)
    return path


def _distrusted(path: str, problem: str) -> CgroupError:
    return CgroupError(errno.EPERM, f"{path!r} is not removed: {problem}", path)


def _bad_form(path: str) -> str | None:
    if not path.startswith("/") or "\0" in path or {"..", "."} & set(path.split("/")):
        return "it is not a plain absolute path"
    name = path.rpartition("/")[2]
    if not name.startswith(PREFIX) or name == PREFIX:
        return f"its name doesn't begin with {PREFIX}"
    if os.path.realpath(path) != path:
        return "it leads through a symbolic link"
    return None


def _refuse_strangers(directories: Iterable[str]) -> None:
    """Refuse a directory that is no cgroup."""
    mounts = sorted(parse_mounts(read("/proc/self/mountinfo")), key=lambda mount: len(mount.path))
    for path in directories:
        kinds = [mount.fstype for mount in mounts if _below(path, mount.path)]
        if kinds[-1:] not in (["cgroup"], ["cgroup2"]):
            raise _distrusted(path, "it is not below a cgroup mount")


def _below(path: str, mountpoint: str) -> bool:
    return path.startswith(f"{mountpoint.rstrip('/')}/")

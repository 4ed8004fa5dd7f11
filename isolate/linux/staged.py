"""Detached mounts for kernels that have none: kept on a stage until they are attached.

The stage is a tmpfs on top of "/" in a mount namespace of our own. mount(2) mounts on whatever
lies topmost at its target, but a path begins at the process's root, below that: so no path leads
to the stage, and what it holds is reached by descriptor alone, as if it were detached. It ends
with the old root, when that is detached after pivot_root(2).

Attributes are set by remounting, which mount(2) does for one mount at a time: the mounts below
are found in mountinfo, and each is checked by its id before it is touched.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux import mount, mountinfo, resolve
from isolate.linux._libc import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from isolate.linux.mountinfo import Mount

_O_PATH = os.O_PATH | os.O_CLOEXEC
_SAFE = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
_MS_NOSYMFOLLOW = 0x100
# A mount's options in mountinfo, as flags of mount(2). A remount replaces them all.
_OPTIONS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "nosymfollow": _MS_NOSYMFOLLOW,
}
_SAME_BITS = mount.MS_RDONLY | _SAFE  # in MOUNT_ATTR_* and in MS_*

_stage = -1  # of this process: a descriptor


def begin(stage: int | None = None, *, owner: int = 0) -> int:
    """Make the stage of this process, in a mount namespace whose mounts are private; or take over
    the `stage` that another process has made there. A descriptor of it. Raises OSError.

    `owner` is who may use it besides: the user id outside of the container's root.
    """
    global _stage  # noqa: PLW0603 - a process has one stage, as it has one mount namespace
    if stage is None:
        mount.mount("isolate", "/", "tmpfs", _SAFE, f"mode=0700,uid={owner},gid={owner}")
        # ".." of the root is the root again, but then what is mounted on it is looked up.
        stage = os.open("/..", _O_PATH | os.O_DIRECTORY)
        if os.fstat(stage).st_dev == os.stat("/").st_dev:
            raise OSError(errno.EXDEV, "what is mounted on the root can't be reached")
    # A recursive copy of "/" must not hold it.
    mount.mount(None, _path(stage), None, mount.MS_UNBINDABLE)
    _stage = stage
    return stage


def new_filesystem(fstype: str, attributes: int = 0, **parameters: str) -> int:
    """A mount of a new filesystem instance, on the stage. Raises OSError."""
    data = ",".join(f"{key}={value}" if value else key for key, value in parameters.items())
    place = _place(directory=True)
    mount.mount(fstype, _path(_stage, place), fstype, _flags(attributes), data or None)
    return _open(place)


def clone_tree(path: str, *, at: int = AT_FDCWD, recursive: bool = False) -> int:
    """A copy of the mount at `path`, on the stage; an empty path is `at` itself. Raises OSError."""
    source = os.open(path, _O_PATH, dir_fd=None if at == AT_FDCWD else at) if path else os.dup(at)
    try:
        place = _place(directory=stat.S_ISDIR(os.fstat(source).st_mode))
        flags = mount.MS_BIND | (mount.MS_REC if recursive else 0)
        mount.mount(_path(source), _path(_stage, place), None, flags)
    finally:
        os.close(source)
    return _open(place)


def set_attributes(descriptor: int, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes to a mount, and to those below it where `recursive`. Raises OSError.

    Nothing that is set already is lost: in a user namespace it may be locked.
    """
    flags = _flags(attributes)
    rows = mountinfo.read()
    top = _row(rows, _mount_id(descriptor))
    _remount(descriptor, top, flags)
    for row in _below(rows, top) if recursive else ():
        place = row.mount_point[len(top.mount_point.rstrip("/")) :]
        try:
            found = resolve.open_in_root(descriptor, place, os.O_PATH)
        except PermissionError:
            continue  # out of our reach, so out of the reach of what has fewer rights
        try:
            if _mount_id(found) != row.mount_id:
                raise OSError(errno.EBUSY, "the mounts below change", row.mount_point)
            _remount(found, row, flags)
        finally:
            os.close(found)


def _remount(descriptor: int, row: Mount, flags: int) -> None:
    """The kernel keeps a mount's options on access times where a remount names none of them."""
    for option in row.options:
        flags |= _OPTIONS.get(option, 0)
    mount.mount(None, _path(descriptor), None, mount.MS_REMOUNT | mount.MS_BIND | flags)


def _row(rows: Iterable[Mount], mount_id: int) -> Mount:
    for row in rows:
        if row.mount_id == mount_id:
            return row
    raise OSError(errno.EINVAL, "the mount is not in this mount namespace")


def _below(rows: list[Mount], top: Mount) -> Iterator[Mount]:
    """The mounts below another that a path leads to; what a later mount hides is left as it is."""
    children = [row for row in rows if row.parent_id == top.mount_id]
    for row in children:
        hidden = any(
            row is not other and f"{row.mount_point}/".startswith(f"{other.mount_point}/")
            for other in children
        )
        if not hidden:
            inner = [below.mount_point for below in rows if below.parent_id == row.mount_id]
            if row.mount_point not in inner:
                yield row
            yield from _below(rows, row)


def _mount_id(descriptor: int) -> int:
    """The mount that a descriptor lies on (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
    raise OSError(errno.ENOSYS, "the kernel tells no mount ids of descriptors")


def _flags(attributes: int) -> int:
    if unknown := attributes & ~(_SAME_BITS | mount.MOUNT_ATTR_NOSYMFOLLOW):
        raise OSError(errno.EINVAL, f"mount(2) knows no attributes {unknown:#x}")
    links = _MS_NOSYMFOLLOW if attributes & mount.MOUNT_ATTR_NOSYMFOLLOW else 0
    return attributes & _SAME_BITS | links


def _place(*, directory: bool) -> str:
    """A new mount point on the stage."""
    if _stage < 0:
        raise OSError(errno.ENOSYS, "the kernel has no detached mounts, and no stage was made")
    name = os.urandom(8).hex()
    if directory:
        os.mkdir(name, 0o700, dir_fd=_stage)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o600, dir_fd=_stage))
    return name


def _open(place: str) -> int:
    return os.open(place, _O_PATH, dir_fd=_stage)


def _path(descriptor: int, name: str = "") -> str:
    return f"/proc/self/fd/{descriptor}" + (f"/{name}" if name else "")

"""Whether the mounts have arrived where they were asked for, looked up while bwrap waits.

bwrap follows symbolic links: those of the root are resolved before, but in a volume, which others
may write to, it could be led elsewhere. A volume would be missing then, or what is to be hidden be
seen. So both are looked up in the finished tree, as the container's root user.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux import mountinfo, namespaces, prctl, resolve
from isolate.native import errand
from isolate.native.failure import from_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.spec.model import Spec

_NULL = os.makedev(1, 3)
_NOTHING_SEEN = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def require(pid: int, spec: Spec) -> None:
    """Raise LaunchError where a mount of the spec isn't there, or a path that it masks shows more
    than an empty directory or the null device. `pid` is the container's first process."""
    mounts = [mount.target for mount in spec.mounts if mount.type in ("bind", "tmpfs")]
    mounts += [device.target or device.path for device in spec.devices]
    if not mounts and not spec.privileges.masked_paths:
        return
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    points = {mount.mount_id: mount.mount_point for mount in mountinfo.read(pid)}

    def look() -> None:
        namespaces.setns(users, namespaces.CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        prctl.set_dumpable(True)  # else /proc/self is the host root's
        for path in mounts:
            if not _is_mounted(root, path, points):
                raise OSError(0, "it isn't mounted there: a link of a volume leads elsewhere", path)
        for path in spec.privileges.masked_paths:
            if not _is_hidden(root, path):
                raise OSError(0, "it isn't hidden: a link of a volume leads elsewhere", path)

    try:
        errand.run(look)
    except OSError as error:
        number, path = error.errno or 0, str(error.filename or "")
        raise from_child("bwrap.arrival", number, str(error.strerror), path) from None
    finally:
        os.close(root)
        os.close(users)


def _is_mounted(root: int, path: str, points: dict[int, str]) -> bool:
    """Whether it is the root of a mount, rather than something in one."""
    try:
        descriptor = resolve.open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        return False
    try:
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        return points.get(mountinfo.mount_id_of(descriptor)) == place
    finally:
        os.close(descriptor)


def _is_hidden(root: int, path: str) -> bool:
    try:
        descriptor = resolve.open_in_root(root, path, os.O_PATH)
        found = os.fstat(descriptor)
        os.close(descriptor)
        if not stat.S_ISDIR(found.st_mode):
            return stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL
        descriptor = resolve.open_in_root(root, path, _FLAGS)
    except OSError as error:
        if error.errno in _NOTHING_SEEN:
            return True
        raise
    try:
        return os.listdir(descriptor) == [] and bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)
    finally:
        os.close(descriptor)

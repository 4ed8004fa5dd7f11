"""Deleting directory trees that hostile programs have filled, by descriptors.

No symbolic link is followed and no mount point crossed, however the tree changes meanwhile
(openat2(2) with RESOLVE_NO_XDEV sees bind mounts too), and no depth exhausts stack or descriptors.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux.resolve import (
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | _DIRECTORY
_DEEPEST = 48  # levels, each an open descriptor; what lies deeper is moved up first
_PASSES = 64  # over a directory that somebody else fills or empties meanwhile
_BATCH = 4096


def remove_tree(path: str) -> None:
    """Delete `path`, whatever it is, and all below it. A path that isn't there is success.

    The directory of `path` is trusted. Raises OSError: EXDEV or EBUSY where something is mounted
    inside, EACCES or EPERM where a file belongs to another user.
    """
    parent, name = os.path.split(path)
    try:
        descriptor = os.open(parent, _HANDLE)
    except FileNotFoundError:
        return
    try:
        remove_at(descriptor, name)
    finally:
        os.close(descriptor)


def open_parent(base: str, relative: str) -> tuple[int, str]:
    """A descriptor of the directory of `base/relative`, and the last component.

    Only `base` itself is trusted: a symbolic link or a mount point below it raises OSError (ELOOP,
    EXDEV), as `..` does.
    """
    parent, name = os.path.split(relative)
    if ".." in relative.split("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), relative)
    descriptor = os.open(base, _HANDLE)
    if not parent:
        return descriptor, name
    try:
        return _open(descriptor, parent), name
    finally:
        os.close(descriptor)


def remove_at(parent: int, name: str) -> None:
    """Delete the entry `name` of the directory `parent`, and all below it. Raises OSError."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # EPERM: as POSIX says it of a directory
        if _is_other(parent, name):
            raise
    else:
        return
    _Removal().directory(parent, name, 0)


class _Removal:
    """The deletion of one tree: the descriptor of its top, and how often a part was moved there."""

    __slots__ = ("lifted", "top")

    def __init__(self) -> None:
        self.top = -1
        self.lifted = 0

    def directory(self, parent: int, name: str, depth: int) -> None:
        """Delete a directory: empty it until it can be removed."""
        idle = 0
        while idle < _PASSES:
            if _rmdir(parent, name):
                return
            before = self.lifted
            self.contents(parent, name, depth)
            idle = 0 if self.lifted != before else idle + 1
        raise OSError(errno.ENOTEMPTY, "somebody goes on filling it", name)

    def contents(self, parent: int, name: str, depth: int) -> None:
        """One pass over what a directory holds."""
        try:
            here = _open_own(parent, name)
        except FileNotFoundError:
            return
        try:
            self.top = here if depth == 0 else self.top
            for child, is_directory in _entries(here):
                if not is_directory:
                    _unlink(here, child)
                elif depth < _DEEPEST:
                    self.directory(here, child, depth + 1)
                else:
                    self.lift(here, child)
        finally:
            os.close(here)

    def lift(self, parent: int, name: str) -> None:
        """Move a directory that lies too deep to the top, where the next pass finds it."""
        try:
            os.close(_open_own(parent, name))  # a directory that we can't write to can't be moved
            os.rename(name, os.urandom(16).hex(), src_dir_fd=parent, dst_dir_fd=self.top)
        except FileNotFoundError:
            return
        self.lifted += 1


def _entries(directory: int) -> Iterator[tuple[str, bool]]:
    """The names and whether each is a directory, in batches: a million names fit in no list."""
    while batch := _batch(directory):
        yield from batch
        if len(batch) < _BATCH:
            return


def _batch(directory: int) -> list[tuple[str, bool]]:
    batch = []
    with os.scandir(directory) as entries:
        for entry in entries:
            batch.append((entry.name, entry.is_dir(follow_symlinks=False)))
            if len(batch) == _BATCH:
                break
    return batch


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except (FileNotFoundError, IsADirectoryError):
        return  # swapped meanwhile; the next pass sees


def _is_other(parent: int, name: str) -> bool:
    """Whether it is there, and no directory."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(status.st_mode)


def _rmdir(parent: int, name: str) -> bool:
    """Whether the directory is gone; False when it isn't empty."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _open_own(parent: int, name: str) -> int:
    """Open a directory to list and empty it; a program may have taken its owner's rights away."""
    handle = _open(parent, name)
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            # chmod(2) by name would follow a symbolic link put there meanwhile.
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", os.O_RDONLY | _DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _open(parent: int, path: str) -> int:
    try:
        return openat2(parent, path, _HANDLE, 0, _STRICT)
    except OSError as error:
        # EPERM is what old seccomp profiles answer for a call that they don't know.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return _walk(parent, path)


def _walk(parent: int, path: str) -> int:
    """What openat2(2) does, one component at a time, for kernels before 5.6."""
    here = os.dup(parent)
    mount = _mount_id(here)
    for name in path.split("/"):
        try:
            after = os.open(name, _HANDLE, dir_fd=here)
        finally:
            os.close(here)
        here = after
        if name == ".." or _mount_id(here) != mount:
            os.close(here)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return here


def _mount_id(descriptor: int) -> bytes:
    """The mount that an open file lies in (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))

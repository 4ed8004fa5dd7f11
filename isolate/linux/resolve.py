"""openat2(2): open and make paths strictly inside a root that may be hostile.

A tree from outside holds symbolic links of anyone's making, and a running container may swap them
while we look (CVE-2021-30465, CVE-2024-45310). So a path below such a root is never handed to a
call that resolves it against the host: the kernel resolves it in the root, and what is made is
made by descriptor, one component at a time.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from isolate.linux._libc import c_char_p, c_int, c_size_t, syscall

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_MAX_LINKS = 40  # as the kernel's own limit, path_resolution(7)
_ATTEMPTS = 128  # of a lookup that races with renames
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_openat2 = syscall("openat2", c_int, c_char_p, c_char_p, c_size_t)


def openat2(
    dirfd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT
) -> int:
    """openat2(2), close-on-exec. Raises OSError; ENOSYS before Linux 5.6."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    return _openat2(dirfd, os.fsencode(path), how, len(how))


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` as a process whose root directory is `root_fd` would, close-on-exec.

    `..` and absolute links stop at the root; links of procfs (/proc/PID/fd/N) are refused with
    ELOOP. Where the kernel lacks openat2(2), every symbolic link is refused with ELOOP.
    """
    name = os.fsencode(path)
    try:
        return _retried(root_fd, name, flags, mode)
    except OSError as error:
        # EPERM is what old seccomp profiles answer for a call that they don't know.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return _walk(root_fd, name, flags, mode)


def _retried(root_fd: int, path: bytes, flags: int, mode: int) -> int:
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    for _ in range(_ATTEMPTS):
        try:
            return openat2(root_fd, path or b".", flags, mode, resolve)
        except OSError as error:
            # EAGAIN: a rename or mount elsewhere, and ".." could not be proved to stay inside.
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), os.fsdecode(path))


def _walk(root_fd: int, path: bytes, flags: int, mode: int) -> int:
    """The lookup by hand: one component after the other, no symbolic links, no `..`."""
    names = _components(path) or [b"."]
    here = os.dup(root_fd)
    try:
        for name in names[:-1]:
            here = _replace(here, _open_plain(name, _DIRECTORY, here))
        return _open_plain(names[-1], flags, here, mode)
    finally:
        os.close(here)


def _open_plain(name: bytes, flags: int, dirfd: int, mode: int = 0) -> int:
    """openat(2) of one component that must not be a symbolic link."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dirfd)
    # O_PATH with O_NOFOLLOW opens the link itself where the other modes fail.
    if flags & os.O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(name))
    return descriptor


def _components(path: bytes) -> list[bytes]:
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise OSError(errno.EXDEV, "'..' is refused here", os.fsdecode(path))
    return names


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def make_target(root_fd: int, path: str | bytes, *, directory: bool) -> int:
    """The place of a mount inside the root, as an O_PATH descriptor: made where it is missing.

    What is missing is made as directories (0755), the last as an empty file (0644) unless
    `directory`. Symbolic links are followed inside the root, also to what doesn't exist yet.
    Mount on the descriptor, never on the path. Raises OSError: ENOTDIR or EISDIR where the target
    exists as the other kind, ELOOP for too many links, EXDEV for `..` below what exists.
    """
    name = os.fsencode(path)
    for _ in range(_MAX_LINKS):
        parent, missing, known = _deepest(root_fd, name)
        try:
            if not missing:
                return _checked(os.dup(parent), name, directory=directory)
            link = _dangling(parent, missing[0])
            if link is None:
                made = _make(parent, missing, directory=directory)
                if made is not None:
                    return made
        finally:
            os.close(parent)
        if link is not None:
            head = b"/" if link.startswith(b"/") else known + b"/"
            name = b"/".join([head + link, *missing[1:]])
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))


def _deepest(root_fd: int, path: bytes) -> tuple[int, list[bytes], bytes]:
    """What exists of `path`: an O_PATH descriptor, the names that are missing, the path so far."""
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    for count in range(len(names), -1, -1):
        known, missing = b"/".join(names[:count]), names[count:]
        try:
            descriptor = open_in_root(root_fd, known or b".", os.O_PATH)
        except FileNotFoundError:
            continue
        if b".." in missing:
            os.close(descriptor)
            raise OSError(errno.EXDEV, "'..' below what doesn't exist", os.fsdecode(path))
        return descriptor, missing, known
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(path))


def _dangling(parent: int, name: bytes) -> bytes | None:
    """Where `name` points if it is a symbolic link."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _make(parent: int, names: list[bytes], *, directory: bool) -> int | None:
    """Make the chain of `names`; None if somebody else made a part of it first."""
    here = os.dup(parent)
    try:
        for number, name in enumerate(names):
            try:
                _make_one(here, name, directory=directory or number < len(names) - 1)
            except FileExistsError:
                return None
            here = _replace(here, _open_plain(name, os.O_PATH, here))
        return _checked(os.dup(here), names[-1], directory=directory)
    finally:
        os.close(here)


def _make_one(parent: int, name: bytes, *, directory: bool) -> None:
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o644, dir_fd=parent))


def _checked(descriptor: int, path: bytes, *, directory: bool) -> int:
    """`descriptor`, if it is of the wanted kind; closes it otherwise."""
    found = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    if found == directory:
        return descriptor
    os.close(descriptor)
    number = errno.ENOTDIR if directory else errno.EISDIR
    raise OSError(number, os.strerror(number), os.fsdecode(path))

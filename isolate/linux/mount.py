"""mount(2), pivot_root(2), and the new mount API: fsopen(2), open_tree(2), mount_setattr(2)."""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux._libc import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    function,
    syscall,
)

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000

MNT_DETACH = 0x2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

_FSOPEN_CLOEXEC = 0x1
_FSMOUNT_CLOEXEC = 0x1
_OPEN_TREE_CLONE = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_SET_FD = 5
_FSCONFIG_CMD_CREATE = 6

_mount = function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = function("umount2", c_char_p, c_int)
_pivot_root = syscall("pivot_root", c_char_p, c_char_p)
_fsopen = syscall("fsopen", c_char_p, c_uint)
_fsconfig = syscall("fsconfig", c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = syscall("fsmount", c_int, c_uint, c_uint)
_open_tree = syscall("open_tree", c_int, c_char_p, c_uint)
_move_mount = syscall("move_mount", c_int, c_char_p, c_int, c_char_p, c_uint)
_mount_setattr = syscall("mount_setattr", c_int, c_char_p, c_uint, c_char_p, c_size_t)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None
) -> None:
    """mount(2)."""
    _mount(_bytes(source), os.fsencode(target), _bytes(fstype), flags, _bytes(data))


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _umount2(os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2); with "." for both, the old root lies on top of the new one afterwards."""
    _pivot_root(os.fsencode(new_root), os.fsencode(put_old))


def make_private(target: str = "/") -> None:
    """Cut the propagation of mounts below `target`, in both directions (mount_namespaces(7))."""
    mount(None, target, None, MS_REC | MS_PRIVATE)


def fsopen(fstype: str) -> int:
    """A configuration context of a filesystem, close-on-exec; fsopen(2)."""
    return _fsopen(os.fsencode(fstype), _FSOPEN_CLOEXEC)


def fsconfig_string(context: int, key: str, value: str) -> None:
    """Set a parameter to a string."""
    _fsconfig(context, _FSCONFIG_SET_STRING, os.fsencode(key), os.fsencode(value), 0)


def fsconfig_flag(context: int, key: str) -> None:
    """Set a parameter that has no value."""
    _fsconfig(context, _FSCONFIG_SET_FLAG, os.fsencode(key), None, 0)


def fsconfig_fd(context: int, key: str, descriptor: int) -> None:
    """Set a parameter to an open file."""
    _fsconfig(context, _FSCONFIG_SET_FD, os.fsencode(key), None, descriptor)


def fsconfig_create(context: int) -> None:
    """Make the superblock. The OSError bears what the filesystem says of the cause, if anything."""
    try:
        _fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0)
    except OSError as error:
        raise OSError(error.errno, _message(context) or error.strerror) from None


def _message(context: int) -> str:
    """The first error in a context's log: lines as in `e overlay: ...`."""
    try:
        text = os.read(context, 4096).decode(errors="replace")
    except OSError:
        return ""
    return text.removeprefix("e ").strip()


def fsmount(context: int, attributes: int = 0) -> int:
    """A detached mount of a context whose superblock is made, close-on-exec."""
    return _fsmount(context, _FSMOUNT_CLOEXEC, attributes)


def new_filesystem(fstype: str, attributes: int = 0, **parameters: str) -> int:
    """A detached mount of a new filesystem instance."""
    context = fsopen(fstype)
    try:
        fsconfig_string(context, "source", fstype)
        for key, value in parameters.items():
            fsconfig_string(context, key, value)
        fsconfig_create(context)
        return fsmount(context, attributes)
    finally:
        os.close(context)


def open_tree_clone(path: str, *, at: int = AT_FDCWD, recursive: bool = False) -> int:
    """A detached copy of the mount at `path` (a bind mount that isn't attached yet)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _open_tree(at, os.fsencode(path), flags | (0 if path else AT_EMPTY_PATH))


def move_mount(mount_fd: int, target: str, *, at: int = AT_FDCWD) -> None:
    """Attach a detached mount at `target`; an empty target is the place `at` itself."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | (0 if target else _MOVE_MOUNT_T_EMPTY_PATH)
    _move_mount(mount_fd, b"", at, os.fsencode(target), flags)


def mount_setattr(
    path: str,
    *,
    at: int = AT_FDCWD,
    set_attributes: int = 0,
    clear_attributes: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
    recursive: bool = False,
) -> None:
    """Change a mount's attributes; with an empty path, those of the mount `at`.

    `recursive` reaches every submount: a read-only bind stays read-only below.
    """
    attributes = struct.pack("=QQQQ", set_attributes, clear_attributes, propagation, userns_fd)
    flags = (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    _mount_setattr(at, os.fsencode(path), flags, attributes, len(attributes))


def has_new_mount_api() -> bool:
    """Whether the kernel has mount_setattr(2) (5.12), the youngest call that we build on."""
    try:
        _mount_setattr(-1, b"", 0, b"", 0)
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True

"""clone3(2), unshare(2) and setns(2): making and entering namespaces."""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux import process
from isolate.linux._libc import (
    addressof,
    buffer,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_ulong,
    c_void_p,
    function,
    syscall,
)

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000

_SIGCHLD = 17

# The file below /proc/PID/ns of each view of the spec.
FILES = {
    "mounts": "mnt",
    "pids": "pid",
    "network": "net",
    "ipc": "ipc",
    "hostname": "uts",
    "users": "user",
    "cgroups": "cgroup",
    "time": "time",
}

FLAGS = {
    "mounts": CLONE_NEWNS,
    "pids": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "hostname": CLONE_NEWUTS,
    "users": CLONE_NEWUSER,
    "cgroups": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}

_unshare = function("unshare", c_int)
_setns = function("setns", c_int, c_int)
_clone3 = syscall("clone3", c_char_p, c_size_t)
_clone = syscall("clone", c_ulong, c_void_p, c_void_p, c_void_p, c_long)


def clone(flags: int, *, cgroup_fd: int | None = None) -> tuple[int, int]:
    """fork(2) into new namespaces: (pid, pidfd) in the parent, (0, -1) in the child.

    The child shares nothing with the parent but the copied memory; it must end by execve or
    `os._exit`. Threads of the parent don't exist in it. With `cgroup_fd` it is born in that
    cgroup (version 2 only).
    """
    pidfd = buffer(4)
    into = CLONE_INTO_CGROUP if cgroup_fd is not None else 0
    arguments = struct.pack(
        "=11Q",
        flags | into | CLONE_PIDFD,
        addressof(pidfd),
        0,
        0,
        0 if flags & CLONE_PARENT else _SIGCHLD,  # a sibling's end is told as our own
        0,
        0,
        0,
        0,
        0,
        cgroup_fd or 0,
    )
    try:
        pid = _clone3(arguments, len(arguments))
    except OSError as error:
        if not _too_old(error, into) or flags & CLONE_NEWTIME:
            raise
        # An outer container's filter may answer ENOSYS to clone3; clone(2) does the same job.
        pid = _clone_into(cgroup_fd, flags | CLONE_PIDFD | _SIGCHLD, addressof(pidfd))
    return (pid, int.from_bytes(pidfd.raw, "little")) if pid else (0, -1)


def _too_old(error: OSError, into: int) -> bool:
    """Whether the kernel lacks clone3(2) (5.3), or CLONE_INTO_CGROUP and its field (5.7)."""
    return error.errno == errno.ENOSYS or (into != 0 and error.errno in (errno.E2BIG, errno.EINVAL))


def _clone_into(cgroup_fd: int | None, flags: int, pidfd: int) -> int:
    """clone(2); the child enters the cgroup before it does anything else."""
    if cgroup_fd is None:
        return _clone(flags, None, pidfd, None, 0)
    # The kernel asks the rights of who opens the file, and the child may have none any more.
    procs = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=cgroup_fd)
    try:
        pid = _clone(flags, None, pidfd, None, 0)
        if pid == 0:
            _enter_or_die(procs)
        return pid
    finally:
        os.close(procs)


def _enter_or_die(procs: int) -> None:
    """What the child raises would unwind the stack of its parent."""
    try:
        os.write(procs, b"0")
    except OSError:
        os._exit(1)


def _as_int(flags: int) -> int:
    """Flags as the C int that holds them (CLONE_NEWNET and above set high bits)."""
    return flags - (1 << 32) if flags >= 1 << 31 else flags


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _unshare(_as_int(flags))


def setns(descriptor: int, flags: int = 0) -> None:
    """Move this process into the namespace of a descriptor (of /proc/PID/ns/*, or a pidfd)."""
    _setns(descriptor, _as_int(flags))


def enter(pid: int, pidfd: int, flags: int) -> None:
    """Move this process into several namespaces of another, which `pidfd` holds. Raises OSError."""
    try:
        setns(pidfd, flags)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _enter_one_by_one(pid, pidfd, flags)  # before Linux 5.8 no pidfd is taken


def _enter_one_by_one(pid: int, pidfd: int, flags: int) -> None:
    """The user namespace first: the rights to enter the others are had in it."""
    views = sorted((view for view in FILES if flags & FLAGS[view]), key="users".__ne__)
    opened = [
        os.open(f"/proc/{pid}/ns/{FILES[view]}", os.O_RDONLY | os.O_CLOEXEC) for view in views
    ]
    try:
        process.check_alive(pidfd)  # else the files may be another process's by now
        for view, descriptor in zip(views, opened, strict=True):
            setns(descriptor, FLAGS[view])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def identity(pid: int | str, file: str) -> int | None:
    """The inode number that identifies a namespace of a process; None where the kernel lacks it."""
    try:
        return os.stat(f"/proc/{pid}/ns/{file}").st_ino
    except FileNotFoundError:
        return None


def enter_new_time(boot_offset_seconds: int = 0, monotonic_offset_seconds: int = 0) -> None:
    """Move this single-threaded process into a new time namespace with shifted clocks.

    time_namespaces(7): the offsets are written while the namespace has no member yet.
    """
    unshare(CLONE_NEWTIME)
    write_timens_offsets("self", boot_offset_seconds, monotonic_offset_seconds)
    descriptor = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(descriptor, CLONE_NEWTIME)
    finally:
        os.close(descriptor)


def write_timens_offsets(pid: int | str, boot: int, monotonic: int) -> None:
    """Set the clocks' offsets, in seconds, of the time namespace that `pid`'s children enter."""
    descriptor = os.open(f"/proc/{pid}/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"monotonic {monotonic} 0\nboottime {boot} 0\n".encode())
    finally:
        os.close(descriptor)

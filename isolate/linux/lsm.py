"""The label that a Linux security module gives a program at its execve(2): AppArmor's, SELinux's.

Source: proc_pid_attr(5), and the kernel's Documentation/admin-guide/LSM.
"""

from __future__ import annotations

import os

APPARMOR, SELINUX = "apparmor", "selinux"

_SWITCH = "/sys/module/apparmor/parameters/enabled"
_FILESYSTEMS = "/proc/filesystems"  # selinuxfs is registered where SELinux is on
_LARGEST = 4096


def active() -> str | None:
    """`apparmor` or `selinux`, whichever is on; None where neither is."""
    if _read(_SWITCH).startswith(b"Y"):
        return APPARMOR
    return SELINUX if b"\tselinuxfs\n" in _read(_FILESYSTEMS) else None


def set_exec(proc: int, module: str, label: str) -> None:
    """Let the next execve(2) of this thread, or of a child, give the program that label.

    `proc` is a descriptor of a procfs in which this thread has a pid: of the host's, since what is
    mounted on a container's /proc is anybody's guess (CVE-2019-16884). Raises OSError: ENOENT where
    AppArmor has no such profile, EINVAL where SELinux knows no such label.
    """
    word = f"exec {label}" if module == APPARMOR else label
    descriptor = os.open(_file(module, "exec", proc), os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(descriptor, word.encode())
    finally:
        os.close(descriptor)


def current(pid: int, module: str) -> str:
    """The label of a process; AppArmor's has its mode behind it, as in `name (enforce)`.

    Raises OSError.
    """
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = _file(module, "current", proc).replace("thread-self", str(pid))
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    finally:
        os.close(proc)
    try:
        return os.read(descriptor, _LARGEST).decode(errors="replace").rstrip("\0\n")
    finally:
        os.close(descriptor)


def _file(module: str, name: str, proc: int) -> str:
    """Since Linux 5.8 AppArmor has a directory of its own; the other is the first module's."""
    own = "thread-self/attr/apparmor"
    if module == APPARMOR and os.access(own, os.F_OK, dir_fd=proc):
        return f"{own}/{name}"
    return f"thread-self/attr/{name}"


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _LARGEST)
        finally:
            os.close(descriptor)
    except OSError:  # EINVAL too: AppArmor is built in, but not on
        return b""

"""Attempts on a process outside: to see it, signal it, trace it, read it, join it."""

from __future__ import annotations

import ctypes
import errno
import os

from isolate.probe.inside import raw

_PTRACE_PEEKDATA = 2
_PTRACE_ATTACH = 16
_PTRACE_DETACH = 17
_CLONE_NEWNS = 0x20000


def command_line(pid: int) -> str:
    """What proc(5) says of the process."""
    with open(f"/proc/{pid}/cmdline", errors="replace") as file:
        return file.read(4096)


def send(pid: int, signal: int) -> str:
    """Send it a signal."""
    if pid in (os.getpid(), os.getppid(), 1):
        raise OSError(errno.ESRCH, "of that number is another process here")
    os.kill(pid, signal)
    return "sent"


def peek(pid: int, address: int, size: int) -> str:
    """Read its memory as its tracer (ptrace(2)), and let go of it at once."""
    raw.call("ptrace", _PTRACE_ATTACH, pid, None, None)
    try:
        os.waitpid(pid, 0)
        words = (ctypes.c_long * (size // 8))()
        for number in range(len(words)):
            at = ctypes.addressof(words) + 8 * number
            # The bare system call stores the word; only libc's function returns it.
            raw.call("ptrace", _PTRACE_PEEKDATA, pid, address + 8 * number, at)
        return bytes(words).decode(errors="replace")
    finally:
        raw.call("ptrace", _PTRACE_DETACH, pid, None, None)


def read_memory(pid: int, address: int, size: int) -> str:
    """Read its memory by process_vm_readv(2), or through proc(5)."""
    try:
        return _vm_read(pid, address, size)
    except OSError as refusal:
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
                return os.pread(file.fileno(), size, address).decode(errors="replace")
        except OSError:
            raise refusal from None


def _vm_read(pid: int, address: int, size: int) -> str:
    buffer = ctypes.create_string_buffer(size)
    pair = ctypes.c_size_t * 2
    local = pair(ctypes.addressof(buffer), size)
    remote = pair(address, size)
    count = raw.call("process_vm_readv", pid, local, 1, remote, 1, 0)
    return buffer.raw[:count].decode(errors="replace")


def read_in_its_mounts(pid: int, path: str) -> str:
    """Join its mount namespace (setns(2)), and read a file there."""
    try:
        namespace = raw.call("pidfd_open", pid, 0)
    except OSError:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    raw.call("setns", namespace, _CLONE_NEWNS)
    with open(path, errors="replace") as file:
        return file.read(4096)

"""System calls that Python has no function for, by their numbers; what a file belongs to."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_X86_64 = {
    "add_key": 248,
    "bpf": 321,
    "delete_module": 176,
    "finit_module": 313,
    "ioctl": 16,
    "keyctl": 250,
    "mq_open": 240,
    "mq_timedreceive": 243,
    "mq_timedsend": 242,
    "mq_unlink": 241,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "process_vm_readv": 310,
    "ptrace": 101,
    "setns": 308,
    "shmat": 30,
    "shmctl": 31,
    "shmdt": 67,
    "shmget": 29,
    "syslog": 103,
    "unshare": 272,
    "userfaultfd": 323,
}
# The numbers of every newer architecture (kernel: include/uapi/asm-generic/unistd.h).
_GENERIC = {
    "add_key": 217,
    "bpf": 280,
    "delete_module": 106,
    "finit_module": 273,
    "ioctl": 29,
    "keyctl": 219,
    "mq_open": 180,
    "mq_timedreceive": 183,
    "mq_timedsend": 182,
    "mq_unlink": 181,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "perf_event_open": 241,
    "process_vm_readv": 270,
    "ptrace": 117,
    "setns": 268,
    "shmat": 196,
    "shmctl": 195,
    "shmdt": 197,
    "shmget": 194,
    "syslog": 116,
    "unshare": 97,
    "userfaultfd": 282,
}
_BY_MACHINE = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}
# From 424 on they are the same everywhere (kernel: scripts/syscall.tbl).
_NUMBERS = {
    **_BY_MACHINE.get(os.uname().machine, {}),
    "io_uring_setup": 425,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
}

# linux/magic.h
MAGIC = {
    "binfmt_misc": 0x42494E4D,
    "cgroup": 0x27E0EB,
    "debugfs": 0x64626720,
    "efivarfs": 0xDE5E81E4,
    "proc": 0x9FA0,
    "securityfs": 0x73636673,
    "sysfs": 0x62656572,
    "tracefs": 0x74726163,
}
_OF_KERNEL = frozenset(MAGIC.values())

_FSCONFIG_CMD_CREATE = 6
_STATFS = 256  # bytes, more than any architecture's struct statfs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: object) -> int:
    """The system call of that name; integers, bytes and buffers go in as they are. Raises OSError.

    Raises LookupError on an architecture whose number isn't known: no word of the kernel's.
    """
    number = _NUMBERS[name]
    words = [
        ctypes.c_long(word) if isinstance(word, int) else ctypes.c_long(0) if word is None else word
        for word in arguments
    ]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def read_into(name: str, size: int, arguments: Callable[[object], tuple[object, ...]]) -> bytes:
    """What a system call writes to a buffer of `size` bytes; it returns how many."""
    buffer = ctypes.create_string_buffer(size)
    count = call(name, *arguments(buffer))
    return buffer.raw[:count]


def filesystem_of(path: str | int) -> int:
    """The magic number of the file system that a path or an open file lies on (statfs(2))."""
    words = (ctypes.c_long * (_STATFS // 8))()
    place = ctypes.c_int(path) if isinstance(path, int) else os.fsencode(path)
    function = _libc.fstatfs if isinstance(path, int) else _libc.statfs
    if function(place, words):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return words[0] & 0xFFFFFFFF


def is_kernel_file(path: str) -> bool:
    """Whether a path leads to a file of the kernel's, and not to a mask over it."""
    return filesystem_of(path) in _OF_KERNEL


def open_detached(filesystem: str) -> int:
    """The root directory of a mount that is attached nowhere, and gone when it is closed."""
    context = call("fsopen", filesystem.encode() + b"\0", 0)
    try:
        call("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        mounted = call("fsmount", context, 0, 0)
    finally:
        os.close(context)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
    finally:
        os.close(mounted)

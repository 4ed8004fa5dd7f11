"""The one user of ctypes: libc functions and raw syscalls as Python functions that raise OSError.

Functions are bound through `ctypes.PyDLL`, which keeps the GIL: a child made by clone(2) in a
threaded process must never wait for a lock that a thread of its parent held. So nothing here may
block for long; use `os` for what blocks.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

c_int = ctypes.c_int
c_uint = ctypes.c_uint
c_long = ctypes.c_long
c_ulong = ctypes.c_ulong
c_uint64 = ctypes.c_uint64
c_size_t = ctypes.c_size_t
c_char_p = ctypes.c_char_p
c_void_p = ctypes.c_void_p

buffer = ctypes.create_string_buffer  # memory that the kernel writes to
addressof = ctypes.addressof

_libc = ctypes.PyDLL(None, use_errno=True)

_MACHINE = os.uname().machine

# Numbers from 424 on are the same on every architecture (kernel: scripts/syscall.tbl).
_SYSCALLS = {
    "x86_64": {
        "rt_sigaction": 13,
        "pivot_root": 155,
        "clone": 56,
        "keyctl": 250,
        "seccomp": 317,
        "bpf": 321,
        "name_to_handle_at": 303,
    },
    "aarch64": {
        "rt_sigaction": 134,
        "pivot_root": 41,
        "clone": 220,
        "keyctl": 219,
        "seccomp": 277,
        "bpf": 280,
        "name_to_handle_at": 264,
    },
}.get(_MACHINE, {}) | {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "statmount": 457,
    "listmount": 458,
}


def strings(texts: Sequence[bytes]) -> Any:
    """An array of C strings with NULL at its end, as execve(2) takes them."""
    return (c_char_p * (len(texts) + 1))(*texts, None)


def write_memory(address: int, data: bytes) -> None:
    """Overwrite memory of this process; the caller knows that it is there."""
    ctypes.memmove(address, data, len(data))


def failure(path: str | bytes | None = None) -> OSError:
    """The OSError of the errno that the last call left behind."""
    number = ctypes.get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(path))


def function(name: str, *argtypes: Any, restype: Any = c_int) -> Callable[..., int]:
    """A function of libc that raises OSError where it returns -1."""
    bound = _libc[name]
    bound.argtypes = argtypes
    bound.restype = restype

    def call(*args: Any) -> int:
        result: int = bound(*args)
        if result == -1:
            raise failure()
        return result

    return call


def syscall(name: str, *argtypes: Any) -> Callable[..., int]:
    """A system call that libc may not wrap, as a function that raises OSError.

    On a machine whose number isn't known here the function raises ENOSYS, as an old kernel does.
    """
    number = _SYSCALLS.get(name)
    if number is None:

        def missing(*_args: Any) -> int:
            ctypes.set_errno(38)
            raise failure()

        return missing
    # Indexing makes a new function object each time, so that argtypes don't clash.
    bound = _libc["syscall"]
    bound.argtypes = (c_long, *argtypes)
    bound.restype = c_long

    def call(*args: Any) -> int:
        result: int = bound(number, *args)
        if result == -1:
            raise failure()
        return result

    return call

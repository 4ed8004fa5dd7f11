"""Attempts on the kernel's system calls: what can be made of them, and which answer at all."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import struct
from typing import TYPE_CHECKING

from isolate.probe.inside import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_PRIVATE, _MS_REC = 1 << 18, 1 << 14
_ADJ_TICK = 0x4000
_NOWHERE = 0x7FFFFFFF  # a descriptor that nobody has

_libc = ctypes.CDLL(None, use_errno=True)


def new_user_namespace() -> Iterator[str]:
    """Hold a user namespace of its own."""
    raw.call("unshare", _CLONE_NEWUSER)
    yield "made"


def mount_api(token: str) -> Iterator[list[str]]:
    """Hold a context of the new mount API, and a mount that bears the token; the latter in a mount
    namespace of its own, so that nobody else's changes. Raises where neither is allowed."""
    done, refusal = [], OSError(errno.EPERM, "refused")
    for name, function in (
        ("fsopen", lambda: raw.call("fsopen", b"tmpfs\0", 0)),
        ("mount", lambda: _mount(token)),
    ):
        try:
            function()
            done.append(name)
        except OSError as error:
            refusal = error
    if not done:
        raise refusal
    yield done


def _mount(token: str) -> None:
    raw.call("unshare", _CLONE_NEWNS)
    _mounted(b"none", b"/", None, _MS_REC | _MS_PRIVATE)
    _mounted(token.encode(), b"/", b"tmpfs", 0)


def _mounted(source: bytes, target: bytes, kind: bytes | None, flags: int) -> None:
    if _libc.mount(source, target, kind, ctypes.c_ulong(flags), None):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "mount")


def bpf_map() -> Iterator[str]:
    """Hold a BPF map of one entry."""
    create, array = 0, 2
    attributes = struct.pack("IIII", array, 4, 4, 1).ljust(128, b"\0")
    raw.call("bpf", create, attributes, len(attributes))
    yield "made"


def perf_event() -> Iterator[str]:
    """Hold a performance counter of its own process, which counts nothing."""
    size, software, stopped_user_only = 112, 1, 0b1100001
    head = struct.pack("IIQQQQQ", software, size, 0, 0, 0, 0, stopped_user_only)
    raw.call("perf_event_open", head.ljust(size, b"\0"), 0, -1, -1, 0)
    yield "made"


def userfaultfd() -> Iterator[str]:
    """Hold a descriptor for page faults, of user mode only where it gets no other."""
    try:
        raw.call("userfaultfd", os.O_CLOEXEC)
    except PermissionError:
        raw.call("userfaultfd", os.O_CLOEXEC | 1)
    yield "made"


def io_uring() -> Iterator[str]:
    """Hold a ring of one entry."""
    raw.call("io_uring_setup", 1, ctypes.create_string_buffer(256))
    yield "made"


def load_module() -> str:
    """Load a module from a descriptor that there isn't, and remove one that there isn't.

    Returns how the kernel stumbled once it had allowed that.
    """
    try:
        return _stumbles("finit_module", _NOWHERE, b"\0", 0)
    except OSError:
        return _stumbles("delete_module", b"isolate-none-such\0", os.O_NONBLOCK)


def set_clock() -> str:
    """Set the length of a tick to 0, which no kernel does; returns how it stumbled."""
    timex = ctypes.create_string_buffer(struct.pack("I", _ADJ_TICK), 512)
    if _libc.adjtimex(timex) == -1:
        return _stumble(OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "adjtimex"))
    return "done"


def _stumbles(name: str, *arguments: object) -> str:
    try:
        raw.call(name, *arguments)
    except OSError as error:
        return _stumble(error)
    return "done"


def _stumble(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise error
    return errno.errorcode[error.errno or 0]


def each(calls: list[tuple[int, list[int]]]) -> list[int]:
    """What each system call (number, arguments) comes to, in a child of its own: 0, or its errno;
    where it ended the child, the signal as a negative number."""
    syscall = _libc.syscall
    syscall.restype = ctypes.c_long
    found = []
    for number, arguments in calls:
        words = [ctypes.c_long(word) for word in (number, *arguments)]
        found.append(_in_child(lambda words=words: syscall(*words)))  # type: ignore[misc]
    return found


def _in_child(call: Callable[[], int]) -> int:
    """The errno of a call that returns -1, by way of a child's exit status."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(2)
        os._exit(ctypes.get_errno() if call() == -1 else 0)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def other_abi(int80: dict[str, list[int]], x32: dict[str, list[int]]) -> dict[str, int]:
    """What system calls (number, three arguments) come to by the 32-bit entry of the x86 and by
    x32, each as `each` has it: `int80 NAME` and `x32 NAME`."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_int)(address)
    found = {}
    for kind, calls, code in (("int80", int80, _int80), ("x32", x32, _x32)):
        for name, words in calls.items():
            page.seek(0)
            page.write(code(*words))
            found[f"{kind} {name}"] = _negative(function)
    return found


def _negative(function: Callable[[], int]) -> int:
    """The bare entries return the errno as a negative number."""

    def call() -> int:
        result = function()
        ctypes.set_errno(-result if result < 0 else 0)
        return -1 if result < 0 else 0

    return _in_child(call)


def _int80(number: int, *words: int) -> bytes:
    """The code: push rbx; eax, ebx, ecx, edx; int 0x80; pop rbx; ret."""
    loads = zip((b"\xb8", b"\xbb", b"\xb9", b"\xba"), (number, *words), strict=True)
    return b"\x53" + _loaded(loads) + b"\xcd\x80\x5b\xc3"


def _x32(number: int, *words: int) -> bytes:
    """The code: eax, edi, esi, edx; syscall; ret."""
    loads = zip((b"\xb8", b"\xbf", b"\xbe", b"\xba"), (number | 0x40000000, *words), strict=True)
    return _loaded(loads) + b"\x0f\x05\xc3"


def _loaded(loads: zip[tuple[bytes, int]]) -> bytes:
    return b"".join(code + struct.pack("<I", word & 0xFFFFFFFF) for code, word in loads)

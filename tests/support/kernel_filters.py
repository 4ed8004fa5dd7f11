"""The seccomp filters of a process, as the kernel has them: PTRACE_SECCOMP_GET_FILTER."""

from __future__ import annotations

import ctypes
import errno
import os

_SEIZE, _INTERRUPT, _GET_FILTER, _DETACH = 0x4206, 0x4207, 0x420C, 17
_WALL = 0x40000000  # wait(2): for clones of any kind
_INSTRUCTION = 8  # bytes

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = [ctypes.c_ulong, ctypes.c_long, ctypes.c_ulong, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long


def of(pid: int) -> list[bytes]:
    """The programs. Needs root, and CONFIG_CHECKPOINT_RESTORE."""
    _call(_SEIZE, pid, 0, None)
    try:
        _call(_INTERRUPT, pid, 0, None)
        os.waitpid(pid, _WALL)
        found: list[bytes] = []
        while (program := _program(pid, len(found))) is not None:
            found.append(program)
        return found
    finally:
        _call(_DETACH, pid, 0, None)


def _program(pid: int, number: int) -> bytes | None:
    try:
        length = _call(_GET_FILTER, pid, number, None)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    memory = ctypes.create_string_buffer(length * _INSTRUCTION)
    _call(_GET_FILTER, pid, number, memory)
    return memory.raw


def _call(request: int, pid: int, number: int, memory: ctypes.Array[ctypes.c_char] | None) -> int:
    result: int = _ptrace(request, pid, number, memory)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace: {os.strerror(code)}")
    return result

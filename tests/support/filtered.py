"""Running a function or a program under a seccomp filter in a forked child; raw system calls."""

from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING, Any

from isolate.linux import prctl
from isolate.linux.seccomp import load

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)


def raw(number: int, *args: int | bytes | None) -> int:
    """The result of a system call, or the negative errno."""
    wide = [ctypes.c_ulong(arg) if isinstance(arg, int) else ctypes.c_char_p(arg) for arg in args]
    result: int = _libc.syscall(ctypes.c_long(number), *wide)
    return -ctypes.get_errno() if result == -1 else result


def call(program: bytes, function: Callable[[], Any]) -> Any:
    """What the function returns (a value of JSON) in a child under the filter; b"" is none.

    Raises ChildProcessError with the exit status (-N for signal N) where the child dies.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if program:
                prctl.set_no_new_privs()
                load.load(program)
            os.write(write_end, json.dumps(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise ChildProcessError(status)
    return json.loads(data)


def run(program: bytes, argv: list[str]) -> tuple[int, str]:
    """Exit status and output of a program under the filter."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(write_end, 1)
            os.dup2(write_end, 2)
            prctl.set_no_new_privs()
            load.load(program)
            os.execvp(argv[0], argv)
        finally:
            os._exit(127)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        output = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output

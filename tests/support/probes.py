"""Python that runs inside a container and tries to get out: shared by the tests of threats."""

from __future__ import annotations

PRELUDE = """
import ctypes, errno, fcntl, os, socket, stat, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def syscall(number, *args):
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    got = libc.syscall(ctypes.c_long(number), *args)
    return -ctypes.get_errno() if got == -1 else got
def refused(call, *args):
    try:
        call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ALLOWED"
"""

# Runs machine code: `int 0x80` with getpid's 32-bit number, and an x32 getpid.
MACHINE_CODE = """
import mmap
def run_code(code):
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
int80 = bytes.fromhex("53b814000000cd805bc3")
x32 = bytes.fromhex("b8270000400f05c3")
"""


def probe(code: str) -> list[str]:
    """The command line that runs a probe in the `base` root."""
    return ["python3", "-c", PRELUDE + code]

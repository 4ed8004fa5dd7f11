"""seccomp(2): load a compiled filter, as bytes of BPF instructions, into the calling thread."""

from __future__ import annotations

import errno
import struct

from isolate.linux._libc import addressof, buffer, c_char_p, c_uint, syscall

SECCOMP_SET_MODE_FILTER = 1

FLAG_TSYNC = 1
FLAG_LOG = 2
FLAG_SPEC_ALLOW = 4
FLAG_NEW_LISTENER = 8
FLAG_TSYNC_ESRCH = 16
FLAG_WAIT_KILLABLE_RECV = 32

INSTRUCTION = 8  # bytes of a struct sock_filter
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

_MEANINGS = {
    errno.EACCES: "the calling thread has neither no_new_privs nor CAP_SYS_ADMIN",
    errno.EINVAL: "the kernel refuses the program, a flag, or seccomp filters altogether",
    errno.ENOMEM: "the filters of this process would exceed 32768 instructions",
    errno.ENOSYS: "this kernel has no seccomp(2)",
    errno.ESRCH: "another thread can't take the filter",
}

_seccomp = syscall("seccomp", c_uint, c_uint, c_char_p)


def load(program: bytes, flags: int = 0) -> int:
    """Filter the system calls of the calling thread, and of all that it will execute or fork.

    Needs no_new_privs or CAP_SYS_ADMIN in its user namespace. With the latter only, load before
    the capability is dropped: the default profile allows the calls that follow (capset,
    setresuid, prctl, execve). Returns 0, or the listener's descriptor for FLAG_NEW_LISTENER.

    Raises ValueError for what can't be a program, OSError with the reason in words otherwise.
    """
    count, rest = divmod(len(program), INSTRUCTION)
    if rest or not 0 < count <= MAX_INSTRUCTIONS:
        raise ValueError(f"{len(program)} bytes are no BPF program")
    memory = buffer(program, len(program))
    fprog = struct.pack("@HP", count, addressof(memory))  # struct sock_fprog
    try:
        return _seccomp(SECCOMP_SET_MODE_FILTER, flags, fprog)
    except OSError as error:
        meaning = _MEANINGS.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, f"seccomp: {meaning}") from None

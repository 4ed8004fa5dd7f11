"""prctl(2): attributes of the calling thread and process, one function for each."""

from __future__ import annotations

from isolate.linux._libc import c_int, c_uint64, c_void_p, function

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_GET_KEEPCAPS = 7
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_GET_SECCOMP = 21
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47

SECCOMP_MODE_FILTER = 2
NAME_MAX = 15  # TASK_COMM_LEN without the NUL

_COMM_LEN = 16

# A pointer parameter takes numbers as well as buffers, so one signature serves every option.
_prctl = function("prctl", c_int, c_void_p, c_void_p, c_void_p, c_void_p)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2) with numbers only; unused arguments are zero, as newer options insist."""
    return _prctl(option, arg2, arg3, arg4, arg5)


def set_no_new_privs() -> None:
    """From now on execve(2) gives no rights: no set-uid, no file capabilities; not undoable."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def get_no_new_privs() -> bool:
    """Whether execve(2) can't give rights to the calling thread any more."""
    return prctl(PR_GET_NO_NEW_PRIVS) == 1


def set_dumpable(dumpable: bool) -> None:  # noqa: FBT001 - prctl(2)'s own argument
    """Whether others of the same user may trace this process and open its /proc/PID files.

    The kernel sets it anew at execve(2) and at each change of ids.
    """
    prctl(PR_SET_DUMPABLE, int(dumpable))


def get_dumpable() -> int:
    """0 not dumpable, 1 dumpable, 2 dumpable to root only (proc_sys_fs(5), suid_dumpable)."""
    return prctl(PR_GET_DUMPABLE)


def set_pdeathsig(signal: int) -> None:
    """The signal that this process gets when the *thread* that made it ends; 0 is none.

    It is lost on fork(2), on a change of ids, and on executing a set-uid program. A parent that
    ended before this call sends nothing: compare getppid(2) afterwards.
    """
    prctl(PR_SET_PDEATHSIG, signal)


def get_pdeathsig() -> int:
    """The signal that set_pdeathsig() asked for; 0 is none."""
    signal = (c_int * 1)()
    _prctl(PR_GET_PDEATHSIG, signal, 0, 0, 0)
    return int(signal[0])


def set_child_subreaper(reaper: bool) -> None:  # noqa: FBT001 - as above
    """Whether orphaned descendants become children of this process instead of init's."""
    prctl(PR_SET_CHILD_SUBREAPER, int(reaper))


def get_child_subreaper() -> bool:
    """Whether this process adopts its orphaned descendants."""
    reaper = (c_int * 1)()
    _prctl(PR_GET_CHILD_SUBREAPER, reaper, 0, 0, 0)
    return int(reaper[0]) != 0


def set_keepcaps(keep: bool) -> None:  # noqa: FBT001 - as above
    """Whether permitted capabilities survive the change from user 0 to others; execve clears it."""
    prctl(PR_SET_KEEPCAPS, int(keep))


def get_keepcaps() -> bool:
    """Whether permitted capabilities survive the change from user 0 to others."""
    return prctl(PR_GET_KEEPCAPS) == 1


def set_name(name: str) -> None:
    """Name the calling thread, as ps(1) shows it; the kernel keeps the first 15 bytes.

    Raises ValueError for a name with a NUL byte.
    """
    data = name.encode()
    if b"\0" in data:
        raise ValueError("a thread's name has no NUL byte")
    _prctl(PR_SET_NAME, data, 0, 0, 0)


def get_name() -> str:
    """The calling thread's name; bytes that aren't UTF-8 come as surrogates."""
    buffer = (c_uint64 * (_COMM_LEN // 8))()
    _prctl(PR_GET_NAME, buffer, 0, 0, 0)
    return bytes(buffer).partition(b"\0")[0].decode(errors="surrogateescape")


def get_seccomp() -> int:
    """0 without a filter, 2 (SECCOMP_MODE_FILTER) with one; a filter may refuse the question."""
    return prctl(PR_GET_SECCOMP)

"""Processes by pid and start time, so that a reused pid is never taken for the process meant."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct

from isolate.linux._libc import c_int, c_uint, c_void_p, syscall

# include/uapi/linux/pidfd.h: struct pidfd_info in its first published size.
_INFO = struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3

# proc_pid_stat(5), counted from the field after the command's name.
_STATE, _PPID, _THREADS, _START_TIME = 0, 1, 17, 19
STATE, PPID, USER_TICKS, SYSTEM_TICKS, START_TIME, RESIDENT_PAGES, EXIT_CODE = (
    0,
    1,
    11,
    12,
    19,
    21,
    49,
)
CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS = 13, 14  # of those that it has waited for

_pidfd_send_signal = syscall("pidfd_send_signal", c_int, c_int, c_void_p, c_uint)


class Identity:
    """A process for good: its pid, and its start in clock ticks since boot."""

    __slots__ = ("pid", "start_time")

    def __init__(self, pid: int, start_time: int) -> None:
        self.pid = pid
        self.start_time = start_time

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and (self.pid, self.start_time) == (
            other.pid,
            other.start_time,
        )

    def __hash__(self) -> int:
        return hash((self.pid, self.start_time))

    def __repr__(self) -> str:
        return f"Identity(pid={self.pid}, start_time={self.start_time})"


def identify(pid: int) -> Identity:
    """The identity of the process that has this pid now, a zombie too.

    Raises ProcessLookupError.
    """
    return Identity(pid, start_time(pid))


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot (proc_pid_stat(5), field 22).

    Raises ProcessLookupError.
    """
    return int(_stat(pid)[_START_TIME])


def alive(pid: int, start_time: int) -> bool:
    """Whether that very process still runs; a zombie has ended."""
    try:
        fields = _stat(pid)
    except ProcessLookupError:
        return False
    if int(fields[_START_TIME]) != start_time:
        return False
    # A leader that called pthread_exit(3) is a zombie too, while its threads run on.
    return fields[_STATE] not in (b"Z", b"X") or int(fields[_THREADS]) > 1


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of proc_pid_stat(5) from the state on; None where there is no such process."""
    try:
        return _stat(pid)
    except ProcessLookupError:
        return None


def open_pidfd(pid: int, start_time: int) -> int:
    """A descriptor of that very process, a zombie too; close-on-exec (pidfd_open(2)).

    Raises ProcessLookupError where the process is gone, also where a stranger has its pid by now.
    """
    if pid <= 0:
        raise _gone(pid)
    pidfd = os.pidfd_open(pid)
    # In this order: what has the pid after the opening is what was opened, or that is dead.
    if _start_time_or_none(pid) == start_time:
        return pidfd
    os.close(pidfd)
    raise _gone(pid)


def has_pidfds() -> bool:
    """Whether the kernel has pidfd_open(2) (Linux 5.3)."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def _start_time_or_none(pid: int) -> int | None:
    try:
        return start_time(pid)
    except ProcessLookupError:
        return None


def send_signal(pidfd: int, signal: int) -> None:
    """pidfd_send_signal(2). Raises ProcessLookupError when the process has been reaped."""
    _pidfd_send_signal(pidfd, signal, None, 0)


def check_alive(pidfd: int) -> None:
    """Raises ProcessLookupError when the process has been reaped."""
    try:
        send_signal(pidfd, 0)
    except PermissionError:
        return  # it is there, and somebody else's


def wait_pidfd(pidfd: int, timeout: float | None = None) -> bool:
    """Whether the process ended within `timeout` seconds; None waits for as long as it takes.

    A zombie has ended. Reaps nothing.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0, int(timeout * 1000 + 0.999))))


def exit_info(pidfd: int) -> int | None:
    """The wait status (as wait(2) gives it) of an ended process, which needn't be a child.

    None while it runs, while it is a zombie that its parent hasn't reaped, and on a kernel
    before 6.15, which doesn't keep it (ioctl PIDFD_GET_INFO with PIDFD_INFO_EXIT).
    """
    request = _INFO.pack(_PIDFD_INFO_EXIT, *(0,) * 13)
    try:
        answer = _INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, request))
    except OSError as error:
        # ESRCH: reaped, and this kernel forgets; the others: no such ioctl, by age.
        if error.errno in (errno.ESRCH, errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
            return None
        raise
    return answer[-1] if answer[0] & _PIDFD_INFO_EXIT else None


def boot_id() -> str:
    """The random name of the host's present boot (random(4))."""
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii").strip()


def children(pid: int) -> list[int]:
    """The pids of the process's children now, zombies too."""
    return sorted(child for child, parent in _parents().items() if parent == pid)


def descendants(pid: int) -> list[int]:
    """The pids of children, their children and so on, parents first; orphans aren't found."""
    parents = _parents()
    found = [pid]
    for ancestor in found:
        found.extend(sorted(child for child, parent in parents.items() if parent == ancestor))
    return found[1:]


def parse_status(text: str) -> dict[str, str]:
    """The lines of proc_pid_status(5) as name and value, both without surrounding space."""
    rows = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in rows}


def _parents() -> dict[int, int]:
    # Not /proc/PID/task/TID/children: that file may miss some while others end (proc_pid_task(5)).
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = int(_stat(int(name))[_PPID])
            except ProcessLookupError:
                continue
    return found


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the command's name, which may hold anything."""
    try:
        text = _read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        raise _gone(pid) from None
    return text[text.rindex(b")") + 1 :].split()


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 8192)
    finally:
        os.close(descriptor)


def _gone(pid: int) -> ProcessLookupError:
    return ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"pid {pid}")

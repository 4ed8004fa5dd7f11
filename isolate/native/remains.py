"""What is left of a container's first process once it has ended: how it ended, whoever reaped it.

A parent that reaps tells nobody. So the exit status of a process that outlives its launcher is
kept in the container's directory, in up to two ways:

- `reaped`: a reaper that adopted the process writes it before it reaps;
- `process`: a bind mount of the process's pidfd. It holds what the kernel knows of the process
  with no process of ours alive (Linux 6.15: PIDFD_GET_INFO with PIDFD_INFO_EXIT). It needs root.
"""

from __future__ import annotations

import errno
import os

from isolate.linux import mount, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.state.journal import Journal

REAPED = "reaped"
PIN = "process"

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# pidfs can't be mounted (before 6.14), or the user may not mount.
_NO_PINS = (errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV)


def pin(directory: str, journal: Journal, pidfd: int) -> None:
    """Let the kernel keep how the process ends, where it can."""
    if os.geteuid() != 0:
        return
    target = f"{directory}/{PIN}"
    try:
        tree = mount.open_tree_clone("", at=pidfd)
    except OSError as error:
        if error.errno in _NO_PINS:
            return
        raise
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        journal.record("mount", target=target)
        mount.move_mount(tree, target)
    finally:
        os.close(tree)


def unpin(directory: str) -> None:
    """Let the kernel forget; nothing happens where there is no pin."""
    target = f"{directory}/{PIN}"
    try:
        mount.umount2(target, mount.MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EPERM):
            raise


def forget(directory: str) -> None:
    """Remove what is left of a former process, before the container has another one."""
    unpin(directory)
    for name in (REAPED, PIN):
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            continue


def write_reaped(directory: str, pid: int, start_time: int, status: int) -> None:
    """Keep the wait status of a process that is about to be reaped. Raises OSError."""
    path = f"{directory}/{REAPED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(f"{path}.new", flags, 0o600)
    try:
        os.write(descriptor, f"{pid} {start_time} {status}\n".encode())
    finally:
        os.close(descriptor)
    os.rename(f"{path}.new", path)


def wait_status(directory: str, pid: int, start_time: int) -> int | None:
    """The wait status (wait(2)) of an ended first process; None where nobody kept it."""
    found = _reaped(directory, pid, start_time)
    found = _pinned(directory) if found is None else found
    return zombie_status(pid, start_time) if found is None else found


def zombie_status(pid: int, start_time: int) -> int | None:
    """The wait status of a zombie, as root may read it whosever child it is (proc_pid_stat(5))."""
    if os.geteuid() != 0:
        return None  # the kernel shows 0 to those who may not know
    fields = process.stat_fields(pid)
    if fields is None or int(fields[process.START_TIME]) != start_time:
        return None
    return int(fields[process.EXIT_CODE]) if fields[process.STATE] == b"Z" else None


def peek(pid: int) -> int | None:
    """The wait status of an ended child, which stays to be reaped. Raises ChildProcessError."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else word(found.si_code, found.si_status)


def word(code: int, status: int) -> int:
    """The status word of wait(2) for a siginfo_t of waitid(2)."""
    if code == os.CLD_EXITED:
        return (status & 0xFF) << 8
    return status | (0x80 if code == os.CLD_DUMPED else 0)


def _pinned(directory: str) -> int | None:
    try:
        descriptor = os.open(f"{directory}/{PIN}", _FLAGS)
    except OSError:
        return None
    try:
        return process.exit_info(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _reaped(directory: str, pid: int, start_time: int) -> int | None:
    try:
        descriptor = os.open(f"{directory}/{REAPED}", _FLAGS)
    except OSError:
        return None
    try:
        words = os.read(descriptor, 256).split()
    finally:
        os.close(descriptor)
    if len(words) != 3 or not all(word.isdigit() for word in words):
        return None
    numbers = [int(word) for word in words]
    return numbers[2] if numbers[:2] == [pid, start_time] else None

"""Ending and freezing every process of groups, forking ones too; everything by directory.

Sources: cgroup-v2.rst (cgroup.kill, cgroup.freeze, cgroup.events), freezer-subsystem.rst.
"""

from __future__ import annotations

import errno
import os
import select
import time

from isolate.linux._libc import c_int, c_uint, c_void_p, syscall
from isolate.linux.cgroup.files import CgroupError, members, read_if_there, tree, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SIGKILL = 9
_SHORT_WAIT = 0.0005  # seconds
_LONG_WAIT = 0.02
_BATCH = 256  # processes signalled at once; each needs a descriptor
_GONE = (errno.ENOENT, errno.ENODEV)

_pidfd_send_signal = syscall("pidfd_send_signal", c_int, c_int, c_void_p, c_uint)


def kill_all(directories: Iterable[str], timeout: float) -> None:
    """Kill every process of the groups and of all below them, and wait until none is left.

    cgroup.kill does it where there is one. Else the groups are frozen, or kept from forking by
    their pids.max, while SIGKILL goes to each member, and again until they are empty. Groups that
    can do so come first, as the others mostly hold the same processes. Raises CgroupError
    (ETIMEDOUT) when some can't be killed in `timeout` seconds: they hang in the kernel.
    """
    deadline = time.monotonic() + timeout
    for directory in sorted(directories, key=_strength):
        kill(directory, deadline)


def _strength(directory: str) -> int:
    files = ("cgroup.kill", "cgroup.freeze", "freezer.state", "pids.max")
    present = (os.path.exists(f"{directory}/{file}") for file in files)
    return next((rank for rank, there in enumerate(present) if there), len(files))


def kill(directory: str, deadline: float) -> None:
    """As `kill_all`, for one group and a deadline of time.monotonic()."""
    pause = _SHORT_WAIT
    while populated(directory):
        if not _kill_at_once(directory):
            _kill_one_by_one(directory)
        if wait_empty(directory, min(deadline, time.monotonic() + pause)):
            return
        if time.monotonic() >= deadline:
            raise CgroupError(
                errno.ETIMEDOUT,
                f"processes {_shown(members(directory))} in {directory} don't die: they hang in "
                "the kernel, or a fence outside of this group holds them",
                directory,
            )
        pause = min(pause * 4, 1.0)


def _shown(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:8])) + (", ..." if len(pids) > 8 else "")


def _kill_at_once(directory: str) -> bool:
    """cgroup.kill (Linux 5.14); False where the group has none."""
    try:
        write(f"{directory}/cgroup.kill", "1")
    except CgroupError as error:
        if error.errno not in _GONE:
            raise
        return False
    return True


def _kill_one_by_one(directory: str) -> None:
    _stop_forks(directory)
    try:
        pids = members(directory)
        for start in range(0, len(pids), _BATCH):
            _kill_members(directory, pids[start : start + _BATCH])
    finally:
        thaw_everything(directory)  # a task that version 1 froze dies only when thawed


def _stop_forks(directory: str) -> None:
    """Freeze, or forbid new tasks; does what it can, since the loop around checks the outcome."""
    try:
        if freeze(directory, time.monotonic() + 0.2):
            return
    except CgroupError:
        pass
    if os.path.exists(f"{directory}/pids.max"):
        write(f"{directory}/pids.max", "0")


def _kill_members(directory: str, pids: list[int]) -> None:
    """SIGKILL by pidfd: a number may be a stranger's by now, so look again once all are held."""
    held: dict[int, int] = {}
    try:
        for pid in pids:
            try:
                held[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
        for pid in held.keys() & set(members(directory)):
            try:
                _pidfd_send_signal(held[pid], _SIGKILL, None, 0)
            except ProcessLookupError:
                continue
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def freezable(directory: str) -> bool:
    """Whether the group has a freezer."""
    return any(os.path.exists(f"{directory}/{file}") for file in ("cgroup.freeze", "freezer.state"))


def freeze(directory: str, deadline: float) -> bool:
    """Stop every task of the group; whether all were stopped by the deadline (time.monotonic())."""
    if os.path.exists(f"{directory}/cgroup.freeze"):
        write(f"{directory}/cgroup.freeze", "1")
        return _wait_event(directory, "frozen 1", deadline)
    if not os.path.exists(f"{directory}/freezer.state"):
        return False

    def stopped() -> bool:
        # Writing again catches tasks that were forked while the first round went on.
        write(f"{directory}/freezer.state", "FROZEN")
        return frozen(directory)

    return _wait(stopped, deadline)


def thaw(directory: str) -> None:
    """Undo `freeze`."""
    for file, word in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
        if os.path.exists(f"{directory}/{file}"):
            write(f"{directory}/{file}", word)


def thaw_everything(directory: str) -> None:
    """Thaw the group and all below it, which may have been frozen by their own."""
    for group in reversed(tree(directory)):
        try:
            thaw(group)
        except CgroupError as error:
            if error.errno not in _GONE:
                raise


def frozen(directory: str) -> bool:
    """Whether every task of the group is stopped."""
    state = read_if_there(f"{directory}/freezer.state")
    if state is not None:
        return state.strip() == "FROZEN"
    return "frozen 1" in (read_if_there(f"{directory}/cgroup.events") or "").splitlines()


def populated(directory: str) -> bool:
    """Whether a live process is in the group or below it."""
    events = read_if_there(f"{directory}/cgroup.events")
    if events is not None:
        return "populated 1" in events.splitlines()
    return bool(members(directory))


def wait_empty(directory: str, deadline: float) -> bool:
    """Wait until no live process is left; False when there still is one at the deadline."""
    if os.path.exists(f"{directory}/cgroup.events"):
        return _wait_event(directory, "populated 0", deadline)
    return _wait(lambda: not populated(directory), deadline)


def _wait(done: Callable[[], bool], deadline: float) -> bool:
    pause = _SHORT_WAIT
    while not done():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONG_WAIT)
    return True


def _wait_event(directory: str, line: str, deadline: float) -> bool:
    """Wait until cgroup.events has a line; the kernel wakes poll(2) when the file changes."""
    try:
        descriptor = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLPRI)
    try:
        while line not in os.pread(descriptor, 4096, 0).decode().splitlines():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000 + 1)
    except OSError as error:
        if error.errno != errno.ENODEV:  # removed meanwhile
            raise
    finally:
        os.close(descriptor)
    return True

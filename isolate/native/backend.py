"""What every native backend shares: start, wait, status, kill, delete and usage."""

from __future__ import annotations

import os
import time

from isolate.backend.abilities import Executes, Measures, OpensRoot, Pauses, Stats, Updates
from isolate.backend.base import Backend
from isolate.backend.types import ExitStatus, Handle, Problem, Usage
from isolate.errors import StateError, UnsupportedError
from isolate.linux import idmap, process, signals
from isolate.native import launcher, remains
from isolate.native.limits import group_of
from isolate.native.limits import update as update_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from isolate.backend.abilities import ExecContext
    from isolate.linux.cgroup import Group
    from isolate.spec.model import Limits, Process

DIRECTORY = "directory"
OWN_PIDS = "own_pids"  # the first process is pid 1 of a namespace: its end is everyone's

_KILLED_BY = "killed_by"
_PAUSE = 0.01  # seconds between looks at a zombie of another process
_PATIENCE = 10.0  # seconds in which SIGKILL must have worked


def kernel_problems() -> list[Problem]:
    """What the kernel lacks that there is no other way for: pidfds. A process that is known by its
    pid alone may be another one when the signal arrives."""
    if process.has_pidfds():
        return []
    return [
        Problem(
            what="the kernel lacks pidfd_open(2)",
            remedy="use Linux 5.3 or later; an outer container's filter may hide it",
        )
    ]


class NativeBackend(Backend, Executes, Pauses, Updates, Measures, OpensRoot):
    """A backend that launches the program itself. `Handle.data` says where its traces are."""

    def start(self, handle: Handle) -> None:
        pid, start_time = first_process(handle)
        launcher.start(str(handle.data[DIRECTORY]), pid, start_time)

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        pid, start_time = first_process(handle)
        try:
            pidfd = process.open_pidfd(pid, start_time)
        except ProcessLookupError:
            return self._explained(handle, _kept(handle) or _unknown(handle))
        try:
            if not process.wait_pidfd(pidfd, timeout):
                return None
            status = _how_it_ended(handle, pidfd)
            while status is None and timeout is None:  # until its parent has reaped it
                time.sleep(_PAUSE)
                status = _how_it_ended(handle, pidfd)
        finally:
            os.close(pidfd)
        return None if status is None else self._explained(handle, status)

    def status(self, handle: Handle) -> str:
        pid, start_time = first_process(handle)
        if not process.alive(pid, start_time):
            return "stopped"
        if os.path.exists(f"{handle.data[DIRECTORY]}/{launcher.START_FIFO}"):
            return "created"
        group = group_of(handle)
        return "paused" if group is not None and group.frozen() else "running"

    def kill(self, handle: Handle, signal: int, *, everyone: bool = False) -> None:
        group = group_of(handle)
        if everyone and signal == signals.SIGKILL and group is not None:
            group.kill()
            return
        pid, start_time = first_process(handle)
        targets = [pid]
        if everyone and group is not None:
            targets = sorted(group.pids())
        elif everyone and not handle.data.get(OWN_PIDS):
            targets = [pid, *process.descendants(pid)]
        for target in targets:
            _send(
                target,
                start_time if target == pid else None,
                self._effective(handle, target, signal),
            )

    def delete(self, handle: Handle) -> None:
        if handle.pid is not None:
            _end(handle)
        group = group_of(handle)
        if group is not None:
            group.kill()
            group.remove()

    def usage(self, handle: Handle) -> Usage:
        group = group_of(handle)
        if group is None:
            return Usage()
        used = group.usage()
        return Usage(
            oom_killed=None if used.oom_kills is None else used.oom_kills > 0,
            cpu_user_seconds=used.cpu_user_seconds,
            cpu_system_seconds=used.cpu_system_seconds,
            memory_peak_bytes=used.memory_peak_bytes,
            pids_peak=used.pids_peak,
            io_read_bytes=used.io_read_bytes,
            io_write_bytes=used.io_write_bytes,
        )

    def exec(self, handle: Handle, process: Process, context: ExecContext) -> Handle:
        from isolate.native import executing

        return executing.execute(handle, str(handle.data[DIRECTORY]), process, context)

    def pause(self, handle: Handle) -> None:
        _grouped(handle).freeze()

    def resume(self, handle: Handle) -> None:
        _grouped(handle).thaw()

    def update(self, handle: Handle, limits: Limits) -> None:
        update_limits(_grouped(handle), limits)

    def stats(self, handle: Handle) -> Stats:
        group = group_of(handle)
        if group is None:
            return Stats()
        used = group.usage()
        return Stats(
            cpu_user_seconds=used.cpu_user_seconds,
            cpu_system_seconds=used.cpu_system_seconds,
            memory_bytes=used.memory_bytes,
            memory_peak_bytes=used.memory_peak_bytes,
            pids=used.pids,
            io_read_bytes=used.io_read_bytes,
            io_write_bytes=used.io_write_bytes,
            pressure=used.pressure,
        )

    def processes(self, handle: Handle) -> list[int]:
        group = group_of(handle)
        if group is not None:
            return sorted(group.pids())
        pid, _start_time = first_process(handle)
        return [pid, *process.descendants(pid)]

    def open_root(self, handle: Handle) -> tuple[int, int, int]:
        pid, start_time = first_process(handle)
        try:
            descriptor = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            owner, group = idmap.root_of(pid)
        except OSError as error:
            raise StateError(f"container {handle.id} can't be entered: {error.strerror}") from None
        if process.alive(pid, start_time):  # what was opened is that very process's
            return descriptor, owner, group
        os.close(descriptor)
        raise StateError(f"container {handle.id} has ended")

    def _effective(self, handle: Handle, target: int, signal: int) -> int:
        """The kernel drops a signal to a pid 1 that has no handler for it, even one from outside.

        A user who sends SIGTERM wants its default action. So where that is to end the program,
        and it is neither caught nor ignored nor blocked, SIGKILL does it, and the exit status
        tells the signal that was sent.
        """
        ends = signal in signals.ENDING and target == handle.pid and handle.data.get(OWN_PIDS)
        if not ends or not _has_default_action(target, signal):
            return signal
        with open(f"{handle.data[DIRECTORY]}/{_KILLED_BY}", "w", encoding="ascii") as file:
            file.write(str(signal))
        return signals.SIGKILL

    def _explained(self, handle: Handle, status: ExitStatus) -> ExitStatus:
        """The signal that was sent where SIGKILL stood in for it."""
        if status.signal != signals.SIGKILL:
            return status
        try:
            with open(f"{handle.data.get(DIRECTORY)}/{_KILLED_BY}", encoding="ascii") as file:
                return ExitStatus(signal=int(file.read()))
        except OSError:
            return status


def first_process(handle: Handle) -> tuple[int, int]:
    """The first process: pid and start time. Raises StateError where there is none."""
    if handle.pid is None or handle.start_time is None:
        raise StateError(f"container {handle.id} has no process")
    return handle.pid, handle.start_time


def _unknown(handle: Handle) -> NoReturn:
    raise StateError(
        f"how container {handle.id} ended is not known",
        hint="the process that ran it was killed before it could record the exit status",
    )


def _grouped(handle: Handle) -> Group:
    """The container's cgroups. Raises UnsupportedError where it has none."""
    group = group_of(handle)
    if group is None:
        raise UnsupportedError(
            f"container {handle.id} has no cgroups",
            hint="`isolate doctor` says what is delegated to this user",
        )
    return group


def _how_it_ended(handle: Handle, pidfd: int) -> ExitStatus | None:
    """How an ended process ended; None where only its parent, another process, can know yet.

    Our child isn't reaped here but by `delete`: until somebody has recorded how it ended, the
    kernel keeps it. Of another's child the kernel tells once it is reaped (Linux 6.15).
    """
    pid, start_time = first_process(handle)
    reported = launcher.ended(pid, start_time)
    if reported is not None:
        return ExitStatus.from_wait(reported)
    zombie = process.stat_fields(pid) is not None  # asked first: it may be reaped at any moment
    try:
        status = remains.peek(pid)
    except ChildProcessError:
        status = process.exit_info(pidfd)
    if status is not None:
        return ExitStatus.from_wait(status)
    return _kept(handle) or (None if zombie else _unknown(handle))


def _kept(handle: Handle) -> ExitStatus | None:
    """How it ended, as the container's directory has it."""
    directory = handle.data.get(DIRECTORY)
    if directory is None:
        return None
    status = remains.wait_status(str(directory), *first_process(handle))
    return None if status is None else ExitStatus.from_wait(status)


def _send(pid: int, start_time: int | None, signal: int) -> None:
    """Send to a process, checked against reuse of its pid where its start is known."""
    try:
        pidfd = os.pidfd_open(pid) if start_time is None else process.open_pidfd(pid, start_time)
    except ProcessLookupError:
        return
    try:
        process.send_signal(pidfd, signal)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _has_default_action(pid: int, signal: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = process.parse_status(file.read())
    except OSError:
        return False
    bit = 1 << (signal - 1)
    return not any(int(fields[name], 16) & bit for name in ("SigCgt", "SigIgn", "SigBlk"))


def _end(handle: Handle) -> None:
    """Kill and reap the first process; nothing happens where it has ended."""
    pid, start_time = first_process(handle)
    launcher.forget(pid, start_time)
    deadline = time.monotonic() + _PATIENCE
    while process.alive(pid, start_time) and time.monotonic() < deadline:
        _send(pid, start_time, signals.SIGKILL)
        try:
            pidfd = process.open_pidfd(pid, start_time)
        except ProcessLookupError:
            break
        process.wait_pidfd(pidfd, 0.2)
        os.close(pidfd)
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return

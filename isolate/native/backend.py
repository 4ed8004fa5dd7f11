"""What every native backend shares: start, wait, status, kill, delete and usage."""

from __future__ import annotations

import os
import time

from isolate.backend.base import Backend
from isolate.backend.types import ExitStatus, Handle, Usage
from isolate.errors import StateError
from isolate.linux import process, signals
from isolate.native import launcher
from isolate.native.limits import group_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

DIRECTORY = "directory"
OWN_PIDS = "own_pids"  # the first process is pid 1 of a namespace: its end is everyone's

_KILLED_BY = "killed_by"
_PATIENCE = 10.0  # seconds in which SIGKILL must have worked


class NativeBackend(Backend):
    """A backend that launches the program itself. `Handle.data` says where its traces are."""

    def start(self, handle: Handle) -> None:
        pid, start_time = first_process(handle)
        launcher.start(str(handle.data[DIRECTORY]), pid, start_time)

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        pid, start_time = first_process(handle)
        try:
            pidfd = process.open_pidfd(pid, start_time)
        except ProcessLookupError:
            _unknown(handle)
        try:
            if not process.wait_pidfd(pidfd, timeout):
                return None
            status = _reap(pid, pidfd)
        finally:
            os.close(pidfd)
        reported = launcher.ended(pid, start_time)
        if status is None and reported is None:
            _unknown(handle)
        return self._explained(
            handle, ExitStatus.from_wait(reported if reported is not None else status or 0)
        )

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
            with open(f"{handle.data[DIRECTORY]}/{_KILLED_BY}", encoding="ascii") as file:
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


def _reap(pid: int, pidfd: int) -> int | None:
    """The wait status: of our child, or of another's where the kernel tells (Linux 6.15)."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return process.exit_info(pidfd)


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

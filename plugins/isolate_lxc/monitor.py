"""LXC's own process for a container: started until the container stands ready, and ended."""

from __future__ import annotations

import os
import select
import time

from isolate.errors import IsolateError, LaunchError
from isolate.linux import namespaces, process, signals
from isolate.native import launcher, limits
from isolate.native.identity_steps import WaitFor
from isolate_lxc import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from isolate.backend.types import Context
    from isolate.native.channel import Channel
    from isolate.native.prepared import Prepared
    from isolate.native.step import Step

LOG = "lxc.log"
PATIENCE = 10.0  # seconds in which LXC must have done what takes it milliseconds
_RECORDED = "recorded"
_PAUSE = 0.0005  # seconds between looks at the log
_HINT = "`isolate explain` shows what LXC was given"


class Monitor:
    """LXC's process of one container, as a child of this process."""

    __slots__ = ("pid", "start_time")

    def __init__(self, pid: int, start_time: int) -> None:
        self.pid = pid
        self.start_time = start_time


def spawn(
    steps: Sequence[Step], prepared: Prepared, context: Context, cgroup_fd: int | None
) -> Monitor:
    """Execute LXC by steps, of which the last is the execve. Raises LaunchError."""

    def record(pid: int, channel: Channel) -> None:
        limits.record_process(context, pid)
        channel.send(_RECORDED)

    waits = WaitFor(_RECORDED, "the launcher has recorded this process")
    found = launcher.delegate(
        namespaces.CLONE_NEWNS,
        [waits, *steps],
        prepared=prepared,
        meanwhile=record,
        cgroup_fd=cgroup_fd,
    )
    return Monitor(found.pid, found.start_time)


def await_ready(monitor: Monitor, directory: str, ready: int) -> int:
    """The pid of the container's first process, once that stands ready.

    `ready` is the fifo that LXC's hook writes to. Raises LaunchError with LXC's own words.
    """
    pidfd = process.open_pidfd(monitor.pid, monitor.start_time)
    try:
        poll = select.poll()
        poll.register(ready, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        came = [descriptor for descriptor, _events in poll.poll(PATIENCE * 1000)]
        text = os.read(ready, 32).strip() if ready in came else b""
    finally:
        os.close(pidfd)
    if not text.isdigit():
        fail(directory)
    return int(text)


def fail(directory: str, *, since: int = 0) -> NoReturn:
    """Raise LaunchError with what LXC said first."""
    raise failure(directory, since=since)


def failure(directory: str, *, since: int = 0) -> IsolateError:
    """What LXC said first; later errors are consequences."""
    said = log.errors(log.read(f"{directory}/{LOG}", since=since))
    words = " ".join(said[0].split()) if said else "it ended, or hangs, without a word"
    return LaunchError(f"lxc-start: {words}", hint=_HINT)


def kill(pid: int) -> None:
    """End our own child. Nothing happens where it is reaped already."""
    try:
        os.kill(pid, signals.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def end(pid: int, start_time: int) -> None:
    """End LXC's process, whoever started it; reap it where it is ours."""
    try:
        pidfd = process.open_pidfd(pid, start_time)
    except ProcessLookupError:
        return
    try:
        process.send_signal(pidfd, signals.SIGKILL)
        process.wait_pidfd(pidfd, PATIENCE)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
        reap(pid)


def reap(pid: int) -> None:
    """Reap it where it is our child and has ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def await_end(pid: int, start_time: int, timeout: float) -> bool:
    """Whether it ended within `timeout` seconds."""
    try:
        pidfd = process.open_pidfd(pid, start_time)
    except ProcessLookupError:
        return True
    try:
        return process.wait_pidfd(pidfd, timeout)
    finally:
        os.close(pidfd)


def await_execution(directory: str, pid: int, start_time: int, since: int) -> list[log.Line]:
    """What LXC logged until the program was executed, or LXC gave up; `since` a byte of its log."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = not process.alive(pid, start_time)  # asked first: it logs no more after that
        lines = log.read(f"{directory}/{LOG}", since=since)
        if ended or log.started(lines) or time.monotonic() > deadline:
            return lines
        time.sleep(_PAUSE)

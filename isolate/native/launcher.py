"""Launching: clone the first process, let it run its steps, start it once it stands ready."""

from __future__ import annotations

import os

from isolate.errors import LaunchError, StateError
from isolate.linux import namespaces, process, signals
from isolate.native import child as first
from isolate.native.channel import pair
from isolate.native.failure import from_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.native.channel import Channel
    from isolate.native.prepared import Prepared
    from isolate.native.step import Step

START_FIFO = "start"

# Channels of containers that this process launched and that have not executed their program yet.
_channels: dict[tuple[int, int], Channel] = {}


class Launched:
    """A first process that has run all its steps but the last and waits to be started."""

    __slots__ = ("pid", "start_time")

    def __init__(self, pid: int, start_time: int) -> None:
        self.pid = pid
        self.start_time = start_time


def make_fifo(directory: str) -> int:
    """The fifo that the first process waits on, opened for both ends so that it never blocks.

    It lies in the container's 0700 directory: whoever may write there may start the container.
    """
    path = f"{directory}/{START_FIFO}"
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def launch(
    flags: int,
    steps: Sequence[Step],
    *,
    prepared: Prepared,
    meanwhile: Callable[[int, Channel], None],
    on_console: Callable[[int], None] | None = None,
    cgroup_fd: int | None = None,
) -> Launched:
    """Clone with `flags`, let the child run `steps` up to the barrier.

    `meanwhile(pid, channel)` does the launcher's half (maps, cgroups) and answers what the
    child's steps wait for. `prepared` are descriptors that the child's steps use. Raises
    LaunchError; then no process is left.
    """
    ours, theirs = pair()
    mask = signals.block(signals.EVERY)
    try:
        pid, pidfd = namespaces.clone(flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            ours.close()
            first.run(steps, theirs, prepared)
    except OSError as error:
        ours.close()
        raise LaunchError(
            f"clone of the first process failed: {error.strerror}",
            hint="user namespaces may be disabled or used up (see /proc/sys/user/), or this is a "
            "chroot, in which the kernel makes none",
        ) from error
    finally:
        signals.set_mask(mask)
        theirs.close()
    try:
        start_time = process.start_time(pid)
        _do_our_half(meanwhile, pid, ours)
        _until_ready(ours, on_console)
    except BaseException:
        _abandon(pid, pidfd, ours)
        raise
    finally:
        os.close(pidfd)
    _channels[pid, start_time] = ours
    return Launched(pid, start_time)


def _do_our_half(meanwhile: Callable[[int, Channel], None], pid: int, channel: Channel) -> None:
    """Where our half fails because the child's failed first, the child's failure is the cause."""
    try:
        meanwhile(pid, channel)
    except OSError as error:
        message = channel.receive() if channel.is_readable() else None
        if message is not None and message[0] == first.FAILED:
            raise from_child(*message[1:5]) from error
        text, path = str(error.strerror or error), str(error.filename or "")
        raise from_child("setup", error.errno or 0, text, path) from error


def _until_ready(channel: Channel, on_console: Callable[[int], None] | None) -> None:
    while True:
        message = channel.receive()
        if message is None:
            raise LaunchError(
                "the container's first process died while it was being set up",
                hint="it may have been killed for memory: see the kernel's log",
            )
        if message[0] == first.READY:
            return
        if message[0] == first.FAILED:
            raise from_child(*message[1:5])
        if message[0] == first.CONSOLE:
            if on_console is None:
                os.close(message[1])
            else:
                on_console(message[1])


def _abandon(pid: int, pidfd: int, channel: Channel) -> None:
    """Kill and reap a first process whose launch failed."""
    channel.close()
    process.send_signal(pidfd, signals.SIGKILL)
    os.waitpid(pid, 0)


def start(directory: str, pid: int, start_time: int) -> None:
    """Let a ready first process execute its program. Raises ExecError where it can't.

    Any process that may write to the container's directory can; only the one that launched it
    learns whether the execution succeeded.
    """
    try:
        fifo = os.open(f"{directory}/{START_FIFO}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"the container doesn't wait to be started: {error.strerror}") from error
    try:
        os.write(fifo, b"1")
    finally:
        os.close(fifo)
    os.unlink(f"{directory}/{START_FIFO}")
    channel = _channels.pop((pid, start_time), None)
    if channel is not None:
        _until_executed(channel, pid, start_time)


def _until_executed(channel: Channel, pid: int, start_time: int) -> None:
    message = channel.receive()
    if message is not None and message[0] == first.FAILED:
        channel.close()
        raise from_child(*message[1:5])
    if message is not None and message[0] == first.EXEC:
        _channels[pid, start_time] = (
            channel  # an init keeps its end to report how the program ended
        )
        return
    channel.close()


def ended(pid: int, start_time: int) -> int | None:
    """The wait status that an init reported of the program; None where there is no such report."""
    channel = _channels.pop((pid, start_time), None)
    if channel is None:
        return None
    message = channel.receive() if channel.is_readable() else None
    channel.close()
    return int(message[1]) if message is not None and message[0] == first.ENDED else None


def forget(pid: int, start_time: int) -> None:
    """Close the channel of a container that is being deleted."""
    channel = _channels.pop((pid, start_time), None)
    if channel is not None:
        channel.close()

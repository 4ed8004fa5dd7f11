"""The small init: reaps orphans, passes signals to the program, reports how it ended."""

from __future__ import annotations

import os
import select

from isolate.linux import signals
from isolate.linux.title import set_title
from isolate.native import child as first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from isolate.native.step import Child


def stay(program: int, child: Child, executed: int) -> NoReturn:
    """Be pid 1 until the program ends, then end with its status as a shell would give it.

    The process is not dumpable, so nobody inside can trace it or open what it has open. When it
    ends, the kernel kills what is left in its pid namespace. `executed` reads as closed once the
    program's process has executed it, or has failed to and said so.
    """
    set_title("init")
    os.read(executed, 1)
    keep_only(child.channel.fileno())
    child.channel.send(first.EXEC)
    everything = signals.set_of(*(number for number in range(1, 65) if number not in (9, 19)))
    signals.block(everything)
    # No sigwaitinfo(2): it unblocks what it waits for, and then a look at /proc/1/status from
    # outside says that a signal would have its default action here.
    arrivals = signals.signalfd(everything)
    while True:
        _await(arrivals)
        for number in signals.read_signals(arrivals):
            if number != signals.SIGCHLD:
                _pass_on(program, number)
                continue
            status = _reap(program)
            if status is not None:
                child.channel.send(first.ENDED, status)
                os._exit(_shell_code(status))


def _await(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()


def keep_only(*kept: int, streams: bool = False) -> None:
    """Close everything else: the caller's streams must end when the program closes them, unless
    `streams` are wanted."""
    first = 3 if streams else 0
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 4096)


def _pass_on(program: int, number: int) -> None:
    try:
        os.kill(program, number)
    except ProcessLookupError:
        return


def _reap(program: int) -> int | None:
    """Reap all that have ended; the program's wait status if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == program:
            found = status


def _shell_code(status: int) -> int:
    return 128 + (status & 0x7F) if status & 0x7F else (status >> 8) & 0xFF

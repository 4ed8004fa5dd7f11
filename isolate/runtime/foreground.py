"""Waiting for a program in the foreground: its end, signals, streams, the deadline, in one loop."""

from __future__ import annotations

import os
import select
import time

from isolate.backend.types import ExitStatus
from isolate.linux import process, signals
from isolate.runtime.relay import Budget, Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.backend.base import Backend
    from isolate.backend.types import Handle
    from isolate.runtime.tty import RawTerminal

_STEP = 0.05  # seconds between looks at a program that has no process here
_TROUBLE = select.POLLERR | select.POLLHUP | select.POLLNVAL
_GRACE = 100  # milliseconds that a reader has for what came before a limit was reached


class Outcome:
    """How the program ended, and what ended it."""

    __slots__ = ("output_exceeded", "seconds", "status", "timed_out")

    def __init__(self) -> None:
        self.status = ExitStatus()
        self.timed_out = False
        self.output_exceeded = False
        self.seconds = 0.0


class Foreground:
    """One program that this process waits for."""

    def __init__(
        self,
        backend: Backend,
        handle: Handle,
        *,
        signal_fd: int,
        timeout: float | None,
        output_limit: int | None = None,
        cancel_fd: int = -1,
    ) -> None:
        """`cancel_fd` ends the program when it becomes readable or its peer goes away."""
        self._backend = backend
        self._handle = handle
        self._signal_fd = signal_fd
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._cancel_fd = cancel_fd
        self._budget = Budget(output_limit)
        self._relays: list[Relay] = []
        self._output: list[Relay] = []
        self._terminal: tuple[RawTerminal, int] | None = None
        self._outcome = Outcome()

    def relay_terminal(self, master: int, stdin: int, stdout: int, raw: RawTerminal | None) -> None:
        """Pass the program's terminal on to the caller's streams."""
        self._output = [Relay(master, stdout, self._budget)]
        self._relays = [Relay(stdin, master, ours=True), *self._output]
        if raw is not None:
            self._terminal = (raw, master)
            raw.pass_size(master)

    def relay_output(self, pipes: Sequence[tuple[int, int]]) -> None:
        """Pass the program's output on and count it: pairs of (what it writes to, our own)."""
        self._output = [Relay(source, sink, self._budget) for source, sink in pipes]
        self._relays = [*self._output]

    def wait(self) -> Outcome:
        """Wait until the program has ended and all its output is passed on."""
        began = time.monotonic()
        pidfd = self._open_pidfd()
        try:
            while not self._turn(pidfd):
                pass
        finally:
            if pidfd is not None:
                os.close(pidfd)
        self._outcome.seconds = time.monotonic() - began
        self._drain()
        return self._outcome

    def _open_pidfd(self) -> int | None:
        handle = self._handle
        if handle.pid is None or handle.start_time is None:
            return None
        try:
            return process.open_pidfd(handle.pid, handle.start_time)
        except ProcessLookupError:
            return None  # it has ended already; wait() tells how

    def _turn(self, pidfd: int | None) -> bool:
        """One round of the loop; whether the program has ended."""
        ready = self._poll(pidfd)
        for relay in self._relays:
            # A terminal's master is read by one relay and written by the other: readable doesn't
            # mean writable. An error or a hang-up shows in the attempt.
            if any(
                ready.get(descriptor, 0) & (events | _TROUBLE)
                for descriptor, events in relay.interests()
            ):
                relay.act()
        if self._signal_fd in ready:
            self._forward()
        if self._cancel_fd in ready:
            self._cancel_fd = -1
            self._backend.kill(self._handle, signals.SIGKILL, everyone=True)
        self._check_limits()
        return (pidfd is None or pidfd in ready) and self._has_ended()

    def _poll(self, pidfd: int | None) -> dict[int, int]:
        """Wait for something to do: what has happened, by descriptor."""
        wanted = {self._signal_fd: select.POLLIN}
        if pidfd is not None:
            wanted[pidfd] = select.POLLIN
        if self._cancel_fd >= 0:
            wanted[self._cancel_fd] = select.POLLIN
        for relay in self._relays:
            for descriptor, events in relay.interests():
                wanted[descriptor] = wanted.get(descriptor, 0) | events
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return dict(poll.poll(self._patience(pidfd)))

    def _has_ended(self) -> bool:
        status = self._backend.wait(self._handle, 0)
        if status is not None:
            self._outcome.status = status
        return status is not None

    def _patience(self, pidfd: int | None) -> float | None:
        """Milliseconds that poll(2) may wait."""
        limits = [] if pidfd is not None else [_STEP]
        if self._deadline is not None and not self._outcome.timed_out:
            limits.append(max(0.0, self._deadline - time.monotonic()))
        return min(limits) * 1000 + 1 if limits else None

    def _check_limits(self) -> None:
        if self._outcome.timed_out or self._outcome.output_exceeded:
            return
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._outcome.timed_out = True
        elif self._budget.exceeded:
            self._outcome.output_exceeded = True
        else:
            return
        self._backend.kill(self._handle, signals.SIGKILL, everyone=True)

    def _forward(self) -> None:
        for number in signals.read_signals(self._signal_fd):
            if number == signals.SIGWINCH:
                if self._terminal is not None:
                    self._terminal[0].pass_size(self._terminal[1])
            elif number in signals.FORWARDED:
                self._backend.kill(self._handle, number)

    def _drain(self) -> None:
        """Pass on what the program wrote before it ended; descendants that hold on to the streams
        are not waited for. Our own input stays where it is: it is for whoever reads next."""
        for relay in self._output:
            while relay.unfinished and self._may_write(relay.waits_for):
                relay.act()
        self._outcome.output_exceeded = self._outcome.output_exceeded or self._budget.exceeded

    def _may_write(self, sink: int) -> bool:
        """Wait for a slow reader, until a signal says not to; not at all past a limit."""
        if sink < 0:
            return True
        poll = select.poll()
        poll.register(sink, select.POLLOUT)
        poll.register(self._signal_fd, select.POLLIN)
        over = self._outcome.timed_out or self._outcome.output_exceeded
        while True:
            ready = {descriptor for descriptor, _events in poll.poll(_GRACE if over else None)}
            if not ready or self._told_to_end(ready):
                return False
            if sink in ready:
                return True

    def _told_to_end(self, ready: set[int]) -> bool:
        return self._signal_fd in ready and any(
            number in signals.ENDING for number in signals.read_signals(self._signal_fd)
        )

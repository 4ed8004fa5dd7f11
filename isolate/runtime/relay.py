"""Relays between the program's streams and the caller's: constant memory, backpressure."""

from __future__ import annotations

import os
import select

_CHUNK = 65536
_ATOMIC = 4096  # PIPE_BUF: a writable pipe takes that much without blocking


class Budget:
    """The bytes that relays together may still pass on; None is no bound."""

    __slots__ = ("exceeded", "left")

    def __init__(self, limit: int | None) -> None:
        self.left = limit
        self.exceeded = False

    def cut(self, data: bytes) -> bytes:
        """What of `data` may be passed on."""
        if self.left is None:
            return data
        allowed = data[: self.left]
        self.left -= len(allowed)
        self.exceeded = self.exceeded or len(allowed) < len(data)
        return allowed


class Relay:
    """Copies one descriptor to another, at most one chunk in memory.

    It reads on only when the sink has taken all, so that a slow reader slows the program down
    and nothing piles up here.
    """

    __slots__ = ("_budget", "_ours", "_pending", "sink", "source")

    def __init__(
        self, source: int, sink: int, budget: Budget | None = None, *, ours: bool = False
    ) -> None:
        """`ours`: the source is the caller's own stream, which stays open whatever happens."""
        self.source = source
        self.sink = sink
        self._budget = budget or Budget(None)
        self._ours = ours
        self._pending = b""

    @property
    def open(self) -> bool:
        """Whether there may be more to copy."""
        return self.source >= 0 or bool(self._pending)

    def interests(self) -> list[tuple[int, int]]:
        """What to poll for."""
        if self._pending:
            return [(self.sink, select.POLLOUT)]
        return [(self.source, select.POLLIN)] if self.source >= 0 else []

    def act(self) -> None:
        """Copy one piece; called when poll said that one of `interests` is ready."""
        if self._pending:
            self._write()
        elif self.source >= 0:
            self._read()

    @property
    def unfinished(self) -> bool:
        """Whether something is there that can be copied without waiting for the source."""
        return bool(self._pending) or (self.source >= 0 and self._has_data())

    @property
    def waits_for(self) -> int:
        """The sink where what has been read must be written before anything else; else -1."""
        return self.sink if self._pending else -1

    def _has_data(self) -> bool:
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        return bool(poll.poll(0))

    def _read(self) -> None:
        try:
            data = os.read(self.source, _CHUNK)
        except OSError:  # a terminal's master reads EIO once nobody holds the other side
            data = b""
        if not data:
            self.source = -1
        self._pending = self._budget.cut(data)

    def _write(self) -> None:
        try:
            written = os.write(self.sink, self._pending[:_ATOMIC])
        except OSError:  # the reader is gone: so are we, and the program gets SIGPIPE
            self._pending = b""
            self._let_go_of_source()
            return
        self._pending = self._pending[written:]

    def _let_go_of_source(self) -> None:
        """Close our end in place: its number stays taken, as others hold and close it too."""
        if self._ours:
            self.source = -1
            return
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, self.source, inheritable=False)
        os.close(null)
        self.source = -1

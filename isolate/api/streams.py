"""The captured streams of a program, and waiting for its answer while they are served."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 65536
TIMEOUT, OUTPUT = "timeout", "output"


class Streams:
    """Pipes to and from a program: `stdin` is fed to it, its output is collected."""

    def __init__(self, stdin: bytes, *, capture: bool) -> None:
        self._input = memoryview(stdin)
        self._output: dict[int, bytearray] = {}
        self._open: set[int] = set()  # of the output, what has not ended
        self._sink = -1
        self._left: int | None = None  # bytes of output that may still come
        self._exceeded = False
        self.given: list[int] = []
        if stdin:
            source, self._sink = os.pipe()
            os.set_blocking(self._sink, False)
            self.given.append(source)
        else:
            self.given.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        for inherited in (1, 2):
            self.given.append(self._capture() if capture else os.dup(inherited))

    def _capture(self) -> int:
        ours, theirs = os.pipe()
        self._output[ours] = bytearray()
        self._open.add(ours)
        return theirs

    def close_given(self) -> None:
        """Close the program's ends once it has them."""
        while self.given:
            os.close(self.given.pop())

    def serve(
        self, reply: socket.socket, *, deadline: float | None = None, limit: int | None = None
    ) -> str | None:
        """Feed and collect until the answer is there, then take what is there to read.

        At the deadline (of time.monotonic), or when there is more output than `limit` bytes, the
        other side is told to end the program. What ended it so, if anything did.
        """
        ended = None
        self._left = limit
        while True:
            ready = _poll([reply.fileno(), *self._open], self._sink, _patience(deadline))
            self._act(ready)
            if reply.fileno() in ready:
                while self._open and (more := _poll([*self._open], -1, 0)):
                    self._act(more)
                return ended or (OUTPUT if self._exceeded else None)
            if ended is None:
                ended = self._limit_reached(deadline)
                if ended is not None:
                    deadline = None
                    reply.shutdown(socket.SHUT_WR)

    def _limit_reached(self, deadline: float | None) -> str | None:
        if self._exceeded:
            return OUTPUT
        return TIMEOUT if deadline is not None and time.monotonic() >= deadline else None

    def _act(self, ready: set[int]) -> None:
        for descriptor in ready & self._open:
            self._read(descriptor)
        if self._sink in ready:
            self._feed()

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        if not data:
            self._open.discard(descriptor)
        if self._left is not None and len(data) > self._left:
            data = data[: self._left]
            self._exceeded = True
            self._open.clear()  # no more is read: who goes on writing gets stuck, and is ended
        self._output[descriptor] += data
        if self._left is not None:
            self._left -= len(data)

    def _feed(self) -> None:
        """Write a piece; when all is fed the program reads the end of its input."""
        try:
            written = os.write(self._sink, self._input[:_CHUNK])
        except BrokenPipeError:
            written = len(self._input)
        self._input = self._input[written:]
        if not self._input:
            os.close(self._sink)
            self._sink = -1

    def collected(self) -> tuple[bytes, bytes]:
        """Standard output and error."""
        stdout, stderr = [*map(bytes, self._output.values())] or (b"", b"")
        return stdout, stderr

    def close(self) -> None:
        """Close everything."""
        self.close_given()
        for descriptor in self._output:
            os.close(descriptor)
        if self._sink >= 0:
            os.close(self._sink)


def _poll(sources: Sequence[int], sink: int, patience: float | None) -> set[int]:
    """The descriptors at which something can be done within `patience` milliseconds."""
    poll = select.poll()
    for source in sources:
        poll.register(source, select.POLLIN)
    if sink >= 0:
        poll.register(sink, select.POLLOUT)
    return {descriptor for descriptor, _events in poll.poll(patience)}


def _patience(deadline: float | None) -> float | None:
    """Milliseconds until then, for poll(2)."""
    return None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1

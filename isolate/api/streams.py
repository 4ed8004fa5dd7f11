"""The captured streams of a program, and waiting for its answer while they are served."""

from __future__ import annotations

import os
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_CHUNK = 65536


class Streams:
    """Pipes to and from a program: `stdin` is fed to it, its output is collected."""

    def __init__(self, stdin: bytes, *, capture: bool) -> None:
        self._input = memoryview(stdin)
        self._output: dict[int, bytearray] = {}
        self._sink = -1
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
        return theirs

    def close_given(self) -> None:
        """Close the program's ends once it has them."""
        while self.given:
            os.close(self.given.pop())

    def serve(self, reply: socket.socket) -> None:
        """Feed and collect until the answer is there and all output is read."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._output:
                selector.register(descriptor, selectors.EVENT_READ, self._read)
            if self._sink >= 0:
                selector.register(self._sink, selectors.EVENT_WRITE, self._write)
            selector.register(reply, selectors.EVENT_READ, None)
            while selector.get_map():
                for key, _events in selector.select():
                    if key.data is None or not key.data(key.fd):
                        selector.unregister(key.fileobj)
                        self._end_input(key.fd)

    def _read(self, descriptor: int) -> bool:
        data = os.read(descriptor, _CHUNK)
        self._output[descriptor] += data
        return bool(data)

    def _write(self, descriptor: int) -> bool:
        try:
            written = os.write(descriptor, self._input[:_CHUNK])
        except BrokenPipeError:
            written = len(self._input)
        self._input = self._input[written:]
        return bool(self._input)

    def _end_input(self, descriptor: int) -> None:
        """Close the sink when all is fed: the program reads the end of its input."""
        if descriptor == self._sink:
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

"""The helper's own process: hands each request to a worker, and keeps one ready for the next.

A worker serves one request at a time and is used again: what a fork costs, and the copying of
each page that it then touches, would take as long as half of a launch.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.helper import protocol
from isolate.helper.worker import stay
from isolate.linux import signals
from isolate.plugins import load
from isolate.runtime import after  # noqa: F401 - once here, and not in every worker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

_CHILD = signals.set_of(signals.SIGCHLD)
_MOST_IDLE = max(2, os.cpu_count() or 1)


def serve(descriptor: int) -> NoReturn:
    """Serve the program at the other end of the socket until it is gone; then end."""
    os.setsid()  # a Ctrl-C in the program's terminal is the program's to handle
    _Helper(socket.socket(fileno=descriptor)).serve()


class _Helper:
    """The workers, each by the socket that leads to it. They end when that is closed."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._mask = signals.block(_CHILD)
        self._children = signals.signalfd(_CHILD)
        self._idle: list[socket.socket] = []
        self._busy: dict[int, socket.socket] = {}
        self._poll = select.poll()
        for descriptor in (requests.fileno(), self._children):
            self._poll.register(descriptor, select.POLLIN)

    def serve(self) -> NoReturn:
        while True:
            if not self._idle:
                self._fork()
            for descriptor, _events in self._poll.poll():
                if descriptor == self._children:
                    signals.read_signals(self._children)
                    _reap()
                elif descriptor == self._requests.fileno():
                    self._dispatch()
                elif descriptor in self._busy:
                    self._take_back(descriptor)

    def _dispatch(self) -> None:
        parcel = protocol.receive_parcel(self._requests)
        if parcel is None:
            os._exit(0)  # the program is gone; its containers end with their answers' sockets
        while not self._hand_over(parcel):
            self._fork(parcel)  # an idle worker was killed
        document = protocol.read(parcel[0])
        for descriptor in parcel:
            os.close(descriptor)
        _warm(str(document.get("backend")))

    def _hand_over(self, parcel: list[int]) -> bool:
        """Give a request to an idle worker; False where there is none that lives."""
        while self._idle:
            worker = self._idle.pop()
            try:
                protocol.send_parcel(worker, parcel)
            except OSError:
                worker.close()
                continue
            self._busy[worker.fileno()] = worker
            self._poll.register(worker, select.POLLIN)
            return True
        return False

    def _take_back(self, descriptor: int) -> None:
        """A worker is done, or gone. More of them than may be idle are told to end."""
        worker = self._busy.pop(descriptor)
        self._poll.unregister(worker)
        try:
            done = bool(worker.recv(1)) and len(self._idle) < _MOST_IDLE
        except OSError:
            done = False
        if done:
            self._idle.append(worker)
        else:
            worker.close()

    def _fork(self, parcel: Iterable[int] = ()) -> None:
        """`parcel`: what a request brought along, and would not end with it in these hands too."""
        ours, theirs = protocol.pair()
        gc.collect()
        gc.freeze()  # a collection in a worker would touch, and so copy, what lies here
        if os.fork():
            theirs.close()
            self._idle.append(ours)
            return
        for other in (ours, self._requests, *self._idle, *self._busy.values()):
            other.close()
        for descriptor in (self._children, *parcel):
            os.close(descriptor)
        signals.set_mask(self._mask)
        stay(theirs)


def _warm(backend: str) -> None:
    """Import the backend and look at the host here, once, and not in every worker; that one says
    what is wrong."""
    with contextlib.suppress(IsolateError):
        load(backend).capabilities()


def _reap() -> None:
    while True:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return

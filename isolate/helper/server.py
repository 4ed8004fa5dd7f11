"""The helper's own process: takes requests, forks a worker for each, reaps them."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.helper import protocol
from isolate.helper.worker import work
from isolate.linux import signals
from isolate.plugins import load
from isolate.runtime import after  # noqa: F401 - once here, and not in every worker

if TYPE_CHECKING:
    from typing import NoReturn

_CHILD = signals.set_of(signals.SIGCHLD)


def serve(descriptor: int) -> NoReturn:
    """Serve the program at the other end of the socket until it is gone; then end."""
    requests = socket.socket(fileno=descriptor)
    os.setsid()  # a Ctrl-C in the program's terminal is the program's to handle
    before = signals.block(_CHILD)
    children = signals.signalfd(_CHILD)
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    poll.register(children, select.POLLIN)
    while True:
        ready = {found for found, _events in poll.poll()}
        if children in ready:
            signals.read_signals(children)
            _reap()
        if requests.fileno() in ready:
            message = protocol.receive(requests)
            if message is None:
                os._exit(0)
            _fork(requests, children, before, *message)


def _fork(
    requests: socket.socket,
    children: int,
    mask: bytes,
    document: dict[str, object],
    descriptors: list[int],
) -> None:
    """A worker of its own for each request: one that crashes takes nothing else with it."""
    _warm(str(document.get("backend")))
    if os.fork() == 0:
        requests.close()
        os.close(children)
        signals.set_mask(mask)
        work(document, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def _warm(backend: str) -> None:
    """Import the backend here, once, and not in every worker; that one says what is wrong."""
    with contextlib.suppress(IsolateError):
        load(backend)


def _reap() -> None:
    while True:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return

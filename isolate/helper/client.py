"""The program's side: starts the helper when it is first needed, and again when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from isolate import errors
from isolate.errors import HostError, IsolateError
from isolate.helper import protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

_START = "import sys; sys.path[:] = {path!r}; from isolate.helper.server import serve; serve({fd})"


class Helper:
    """The helper process of this program. Safe from threads; a forked child starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._owner = 0

    def request(self, document: dict[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Send a request with the program's 0, 1 and 2; the socket on which the answer comes.

        Closing that socket before the answer ends the container.
        """
        ours, theirs = protocol.pair()
        try:
            with self._lock:
                self._send(document, (theirs.fileno(), *descriptors))
        except OSError as error:
            ours.close()
            raise HostError(f"the helper process can't be reached: {error}") from error
        finally:
            theirs.close()
        return ours

    def _send(self, document: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        try:
            protocol.send(self._connection(), document, descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self._forget()  # it was killed: once more, with a new one
            protocol.send(self._connection(), document, descriptors)

    def _connection(self) -> socket.socket:
        if self._owner != os.getpid() or self._requests is None:
            self._start()
        assert self._requests is not None  # noqa: S101 - for the type checker
        return self._requests

    def _start(self) -> None:
        ours, theirs = protocol.pair()
        code = _START.format(path=sys.path, fd=theirs.fileno())
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        self._requests = ours
        self._owner = os.getpid()

    def _forget(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = None

    def leave_to_parent(self) -> None:
        """In a forked child: the helper is the parent's, and another thread may have held the
        lock. The sockets must not stay open here: their end tells the helper that we are gone."""
        self._lock = threading.Lock()
        self._process = None
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def close(self) -> None:
        """End the helper; what runs is ended with it when its answer socket is closed."""
        with self._lock:
            self._forget()


HELPER = Helper()
os.register_at_fork(after_in_child=HELPER.leave_to_parent)


class WorkerKilledError(IsolateError):
    """The process that should have answered is gone."""

    def __init__(self) -> None:
        super().__init__(
            "the worker that ran the container was killed",
            hint="`isolate gc` removes what it may have left",
        )


def answer(reply: socket.socket) -> dict[str, Any]:
    """The result that a worker sends. Raises what it met, as IsolateError."""
    message = protocol.receive(reply)
    if message is None:
        raise WorkerKilledError
    document, _descriptors = message
    if "result" in document:
        result: dict[str, Any] = document["result"]
        return result
    if "bug" in document:
        raise RuntimeError(f"a bug in isolate or in a backend:\n{document['bug']}")
    raise _rebuilt(document)


def _rebuilt(document: dict[str, Any]) -> IsolateError:
    """The worker's error, of its own class."""
    found = getattr(errors, str(document["error"]), IsolateError)
    error: IsolateError = found.__new__(found)
    IsolateError.__init__(error, document["message"], hint=document["hint"])
    error.exit_status = document["exit_status"]
    return error

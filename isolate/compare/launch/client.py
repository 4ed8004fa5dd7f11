"""The comparing process's side of the launching process: requests, patience, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from isolate.errors import IsolateError
from isolate.runtime.collect import collect
from isolate.runtime.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

_GRACE = 5.0  # seconds beyond a program's patience, for what its backend does around it
_END = 15.0  # seconds in which the process must end once it was told to


class FallenError(IsolateError):
    """A subject hangs, or crashed the process that launches it: it can't be measured further."""


class Launcher:
    """The launching process of one subject; started with the first request.

    Args:
        state: the state directory of its containers.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, patience: float, **request: Any) -> dict[str, Any]:
        """Do one thing.

        Raises IsolateError where it fails; FallenError where it takes longer than `patience`
        seconds, or the process dies of it.
        """
        process = self._running()
        line = json.dumps({**request, "patience": patience}).encode() + b"\n"
        try:
            _pipe(process.stdin).write(line)
            _pipe(process.stdin).flush()
            answer = self._answer(process, time.monotonic() + patience + _GRACE)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.abandon()
            raise FallenError("the process that launches it crashed")
        return _checked(answer)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "isolate.compare.launch.server", self.state],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the comparing process
            )
        return self._process

    def _answer(
        self, process: subprocess.Popen[bytes], deadline: float
    ) -> Mapping[str, Any] | None:
        """The next line; None where the process has died."""
        data = b""
        output = _pipe(process.stdout).fileno()
        while not data.endswith(b"\n"):
            if not select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.abandon()
                raise FallenError("it hangs")
            part = os.read(output, 1 << 20)
            if not part:
                return None
            data += part
        found: dict[str, Any] = json.loads(data)
        return found

    def close(self) -> None:
        """End the process: it deletes what it holds."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            self._kill(process)
        _pipe(process.stdout).close()

    def abandon(self) -> None:
        """Kill the process with its children, and remove what it has left."""
        process, self._process = self._process, None
        if process is None:
            return
        self._kill(process)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()
        collect(open_store(self.state))

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - for the type checker
    return stream


def _checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "late" in answer:
        raise FallenError(f"it hangs: {answer['late']}")
    if "error" in answer:
        raise IsolateError(answer["error"])
    return dict(answer)

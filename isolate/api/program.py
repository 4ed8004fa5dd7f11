"""A program that runs: what both the blocking and the asyncio forms wait for, end and let go of."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Self

from isolate.api.result import Completed
from isolate.api.streams import OUTPUT, TIMEOUT
from isolate.backend.types import ExitStatus
from isolate.errors import SpecError, StateError
from isolate.native import orders
from isolate.native.child import EXEC
from isolate.native.failure import from_child
from isolate.spec.kinds import Size
from isolate.spec.model import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isolate.api.options import Execution
    from isolate.api.streams import Streams


class Running:
    """A program's streams, and the socket on which its end is told; used as a context manager, the
    program doesn't outlive it."""

    def __init__(self, streams: Streams, reply: socket.socket) -> None:
        self._streams = streams
        self._reply = reply

    def cancel(self) -> None:
        """End the program; safe from other threads while it is waited for."""
        self._reply.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of it; one that still runs is ended by that."""
        self._reply.close()
        self._streams.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class Asked:
    """What is to be executed in a sandbox, and how."""

    def __init__(
        self, args: list[str], env: Mapping[str, str], how: Execution, max_output: int
    ) -> None:
        self.args = args
        self.env = env
        self.cwd = how.get("cwd")
        self.stdin = how.get("stdin", b"")
        self.timeout = how.get("timeout")
        self.capture = how.get("capture", True)
        self.limit = max_output if self.capture else None

    def ended(self, kind: bytes, number: int) -> tuple[int | None, int | None]:
        """Exit code and signal, by what a sandbox's init says. Raises ExecError, StateError."""
        if kind == orders.ENDED:
            status = ExitStatus.from_wait(number)
            return status.code, status.signal
        if kind == orders.NO_DIRECTORY:
            raise StateError(
                f"the working directory {self.cwd or ''} can't be entered: {os.strerror(number)}",
                hint="it must be a directory inside, which the program's user may enter",
            )
        raise from_child(EXEC, number, os.strerror(number), self.args[0])


def checked(args: Sequence[str], how: Execution, *, max_output: int) -> Asked:
    """What to execute, if a spec would allow it. Raises SpecError."""
    words = [os.fsdecode(word) for word in args]
    env = dict(how.get("env", {}))
    Process.build({"args": words, "env": env, "cwd": how.get("cwd", "/")}, "process")
    if not words:
        raise SpecError("process.args", "no program is given", hint="name one to exec()")
    if "max_output" in how:
        max_output = Size(0).check(how["max_output"], "max_output")
    return Asked(words, env, how, max_output)


class Program(Running):
    """One program in a sandbox, from its start to its end."""

    def __init__(
        self,
        streams: Streams,
        reply: socket.socket,
        asked: Asked,
        *,
        ended: Callable[[socket.socket, Asked], tuple[int | None, int | None]],
        oom_killed: Callable[[], bool | None],
    ) -> None:
        """`ended` reads the answer; `oom_killed` is asked about a program that failed."""
        super().__init__(streams, reply)
        self._asked = asked
        self._began = time.monotonic()
        self._ended = ended
        self._oom_killed = oom_killed

    def wait(self) -> Completed:
        """Serve the streams until the program has ended. Raises IsolateError."""
        timeout = self._asked.timeout
        deadline = None if timeout is None else self._began + timeout
        ended_by = self._streams.serve(self._reply, deadline=deadline, limit=self._asked.limit)
        seconds = time.monotonic() - self._began
        code, signal = self._ended(self._reply, self._asked)
        stdout, stderr = self._streams.collected()
        return Completed(
            exit_code=code,
            signal=signal,
            timed_out=ended_by == TIMEOUT,
            output_exceeded=ended_by == OUTPUT,
            oom_killed=self._oom_killed() if code != 0 and ended_by is None else None,
            wall_seconds=seconds,
            stdout=stdout,
            stderr=stderr,
        )

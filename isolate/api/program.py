"""A program that runs in a sandbox: what both the blocking and the asyncio form wait for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from isolate.api.result import Completed
from isolate.api.streams import OUTPUT, TIMEOUT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from isolate.api.streams import Streams

    Ending = tuple[int | None, int | None]  # exit code, signal


class Program:
    """One program, from its start to its end; used as a context manager, it doesn't outlive it."""

    def __init__(
        self,
        streams: Streams,
        reply: socket.socket,
        *,
        timeout: float | None,
        limit: int | None,
        ending: Callable[[socket.socket], Ending],
        oom_killed: Callable[[], bool | None],
    ) -> None:
        """`ending` reads the answer; `oom_killed` is asked about a program that failed."""
        self._streams = streams
        self._reply = reply
        self._began = time.monotonic()
        self._deadline = None if timeout is None else self._began + timeout
        self._limit = limit
        self._ending = ending
        self._oom_killed = oom_killed

    def wait(self) -> Completed:
        """Serve the streams until the program has ended. Raises IsolateError."""
        ended_by = self._streams.serve(self._reply, deadline=self._deadline, limit=self._limit)
        seconds = time.monotonic() - self._began
        code, signal = self._ending(self._reply)
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

    def cancel(self) -> None:
        """End the program. Safe from other threads while the program is waited for."""
        import socket

        self._reply.shutdown(socket.SHUT_WR)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; one that still runs is ended by that."""
        self._reply.close()
        self._streams.close()

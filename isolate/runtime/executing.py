"""`exec`: a further program in a running container, in the foreground, with its streams relayed."""

from __future__ import annotations

import os

from isolate.backend.abilities import ExecContext, Executes
from isolate.errors import StateError
from isolate.linux import signals
from isolate.runtime import abilities
from isolate.runtime.foreground import Foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import ExitStatus, Handle
    from isolate.runtime.tty import RawTerminal
    from isolate.spec.model import Process
    from isolate.state import Entry

_CAUGHT = signals.set_of(*signals.FORWARDED, signals.SIGWINCH)


def execute(
    entry: Entry,
    process: Process,
    stdio: tuple[int, int, int] = (0, 1, 2),
    *,
    cancel_fd: int = -1,
) -> ExitStatus:
    """Run `process` in a running container to its end, forwarding signals.

    When `cancel_fd` becomes readable or its peer goes away, the program is killed.
    Raises UnsupportedError where the backend can't, StateError where the container doesn't run,
    ExecError where the program can't be executed. Call it from the main thread.
    """
    backend, handle = abilities.running(entry)
    if not isinstance(backend, Executes):
        raise abilities.refusal(backend, Executes)
    mask = signals.block(_CAUGHT)
    signal_fd = signals.signalfd(_CAUGHT)
    streams = _Streams(process, stdio)
    try:
        context = ExecContext(stdio=streams.given, on_console=streams.take_console)
        running = backend.exec(handle, process, context)
        foreground = Foreground(
            backend, running, signal_fd=signal_fd, timeout=None, cancel_fd=cancel_fd
        )
        streams.connect(foreground)
        outcome = foreground.wait()
        _reap(running)
    finally:
        streams.close()
        os.close(signal_fd)
        signals.set_mask(mask)
    if outcome.status is None:
        raise StateError(f"how the program in container {entry.id} ended is not known")
    return outcome.status


def _reap(handle: Handle) -> None:
    try:
        os.waitpid(handle.pid or 0, os.WNOHANG)
    except ChildProcessError:
        return


class _Streams:
    """The program's standard streams: the caller's own, or a terminal that is relayed."""

    def __init__(self, process: Process, stdio: tuple[int, int, int]) -> None:
        self._ours = stdio
        self._null = -1
        self._master = -1
        self._raw: RawTerminal | None = None
        self.given = stdio
        if not process.interactive:
            self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            self.given = (self._null, *stdio[1:])

    def take_console(self, master: int) -> None:
        """The master of the program's terminal."""
        self._master = master

    def connect(self, foreground: Foreground) -> None:
        """Relay the terminal, if there is one."""
        if self._master < 0:
            return
        stdin, stdout, _stderr = self._ours
        if os.isatty(stdin):
            from isolate.runtime.tty import RawTerminal

            self._raw = RawTerminal(stdin)
        foreground.relay_terminal(self._master, stdin, stdout, self._raw)

    def close(self) -> None:
        """Restore the caller's terminal and close what is ours."""
        if self._raw is not None:
            self._raw.close()
        for descriptor in (self._null, self._master):
            if descriptor >= 0:
                os.close(descriptor)

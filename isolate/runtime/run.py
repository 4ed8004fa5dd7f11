"""`run`: one program from its spec to its result, in the foreground, with everything cleaned up."""

from __future__ import annotations

import os

from isolate import rootfs
from isolate.errors import InterruptedByError
from isolate.linux import signals
from isolate.runtime.lifecycle import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.backend.base import Backend
    from isolate.backend.types import Usage
    from isolate.runtime.foreground import Foreground, Outcome
    from isolate.runtime.result import Result
    from isolate.runtime.tty import RawTerminal
    from isolate.spec.model import Spec
    from isolate.state import Store

_CAUGHT = signals.set_of(*signals.FORWARDED, signals.SIGWINCH)


def run(
    backend: Backend,
    spec: Spec,
    store: Store,
    *,
    id: str | None = None,
    stdio: tuple[int, int, int] = (0, 1, 2),
    cancel_fd: int = -1,
    checkpoint: Callable[[str], None] = lambda _name: None,
) -> Result:
    """Run the program of `spec` to its end, forwarding signals, and delete the container.

    Raises IsolateError where isolate fails or the program can't be executed; whatever happens,
    nothing is left behind. When `cancel_fd` becomes readable or its peer goes away, the program is
    killed. Call it from the main thread: signals are taken while it runs.
    """
    container = Container(backend, spec, store, id=id)
    container.admit()
    rootfs.prepare(spec.root.source)  # may take long: while signals still end us
    mask = signals.block(_CAUGHT)
    signal_fd = signals.signalfd(_CAUGHT)

    def interruptible(step: str) -> None:
        checkpoint(step)
        if step == "configured":
            from isolate.runtime import after  # noqa: F401 - the child needs longer than this
        for number in signals.read_signals(signal_fd):
            if number in signals.ENDING:
                raise InterruptedByError(number)

    container.checkpoint = interruptible
    try:
        return _Streams(spec, stdio).run(container, signal_fd, cancel_fd)
    finally:
        os.close(signal_fd)
        signals.set_mask(mask)


class _Streams:
    """The program's standard streams: the caller's own, or pipes or a terminal that are relayed."""

    def __init__(self, spec: Spec, stdio: tuple[int, int, int]) -> None:
        self._spec = spec
        self._ours = stdio
        self._pipes: list[tuple[int, int]] = []
        self._to_close: list[int] = []
        self._master = -1
        self._raw: RawTerminal | None = None

    def run(self, container: Container, signal_fd: int, cancel_fd: int) -> Result:
        """Create, start, wait, delete."""
        try:
            container.create(self._given(), self._take_console)
            self._close_given()
            from isolate.runtime.foreground import Foreground

            foreground = Foreground(
                container.backend,
                container.running_handle,
                signal_fd=signal_fd,
                timeout=self._spec.limits.timeout,
                output_limit=self._spec.limits.output,
                cancel_fd=cancel_fd,
            )
            self._connect(foreground)
            container.checkpoint("start")
            container.start()
            outcome = foreground.wait()
            usage = container.backend.usage(container.running_handle)
            container.stopped(outcome.status, usage)
            return self._result(container, outcome, usage)
        finally:
            self._restore()
            container.delete()

    def _given(self) -> tuple[int, int, int]:
        """What becomes 0, 1 and 2 of the program."""
        stdin, stdout, stderr = self._ours
        if not self._spec.process.interactive:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            self._to_close.append(stdin)
        if self._spec.limits.output is not None and not self._spec.process.terminal:
            stdout, stderr = self._pipe(stdout), self._pipe(stderr)
        return stdin, stdout, stderr

    def _pipe(self, sink: int) -> int:
        source, given = os.pipe()
        self._pipes.append((source, sink))
        self._to_close.append(given)
        return given

    def _close_given(self) -> None:
        while self._to_close:
            os.close(self._to_close.pop())

    def _take_console(self, master: int) -> None:
        self._master = master

    def _connect(self, foreground: Foreground) -> None:
        if self._master >= 0:
            stdin, stdout, _stderr = self._ours
            if os.isatty(stdin):
                from isolate.runtime.tty import RawTerminal

                self._raw = RawTerminal(stdin)
            foreground.relay_terminal(self._master, stdin, stdout, self._raw)
        elif self._pipes:
            foreground.relay_output(self._pipes)

    def _restore(self) -> None:
        self._close_given()
        if self._raw is not None:
            self._raw.close()
        for descriptor in (*(source for source, _sink in self._pipes), self._master):
            if descriptor >= 0:
                os.close(descriptor)

    def _result(self, container: Container, outcome: Outcome, usage: Usage) -> Result:
        from isolate.runtime.result import Result

        return Result(
            id=container.id,
            backend=container.backend.name,
            exit_code=outcome.status.code,
            signal=outcome.status.signal,
            timed_out=outcome.timed_out,
            output_exceeded=outcome.output_exceeded,
            wall_seconds=outcome.seconds,
            usage=usage,
            waived=tuple(sorted(container.waived)),
            receipt=tuple(container.receipt),
        )

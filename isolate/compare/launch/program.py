"""One program on its way, bare or in a container, and when each thing happened to it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from isolate.backend.types import ExitStatus, Usage
from isolate.errors import IsolateError
from isolate.plugins import load
from isolate.runtime.lifecycle import Container
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO, Self

    from isolate.state import Store

_MOST = 1 << 20  # bytes of output that are looked at
_STEP = 0.001  # seconds between looks at a program whose end nothing announces
_LAST_WORDS = 4096


class Vehicle(ABC):
    """What carries a program: nothing but the host, or a container."""

    name = ""

    @abstractmethod
    def create(self, stdio: tuple[int, int, int]) -> None:
        """Make all ready but for the program's execution."""

    @abstractmethod
    def start(self) -> None:
        """Execute it."""

    @abstractmethod
    def wait(self, timeout: float) -> ExitStatus | None:
        """How it ended; None when it hasn't after `timeout` seconds."""

    @abstractmethod
    def kill(self) -> None:
        """Kill every process of it."""

    @abstractmethod
    def delete(self) -> None:
        """Leave nothing; idempotent."""

    @abstractmethod
    def usage(self) -> Usage:
        """What it used; unmeasured is None."""

    def receipt(self) -> list[list[str]]:
        """What is enforced, as feature and words of each row (`isolate.backend.ReceiptRow`)."""
        return []


class OnHost(Vehicle):
    """A bare process, by posix_spawn(3), which doesn't copy this process."""

    def __init__(self, argv: list[str]) -> None:
        self._argv = [shutil.which(argv[0]) or argv[0], *argv[1:]]
        self._stdio: tuple[int, int, int] = (0, 1, 2)
        self._pid = 0
        self._ended: ExitStatus | None = None
        self._used = Usage()

    def create(self, stdio: tuple[int, int, int]) -> None:
        self._stdio = stdio

    def start(self) -> None:
        duplicate = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(self._stdio)]
        self._pid = os.posix_spawn(
            self._argv[0], self._argv, os.environ, file_actions=duplicate, setpgroup=0
        )

    def wait(self, timeout: float) -> ExitStatus | None:
        if self._ended is None and self._pid:
            self._wait(timeout)
        return self._ended

    def _wait(self, timeout: float) -> None:
        pidfd = os.pidfd_open(self._pid)
        try:
            poll = select.poll()  # select(2) has no room for the descriptors of a thousand programs
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(timeout * 1000):
                return
        finally:
            os.close(pidfd)
        _pid, status, used = os.wait4(self._pid, 0)
        self._ended = ExitStatus.from_wait(status)
        self._used = Usage(
            cpu_user_seconds=used.ru_utime,
            cpu_system_seconds=used.ru_stime,
            memory_peak_bytes=used.ru_maxrss * 1024,
        )

    def kill(self) -> None:
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def delete(self) -> None:
        if self._pid:
            self.kill()
            self.wait(10)

    def usage(self) -> Usage:
        return self._used


class InContainer(Vehicle):
    """A container of a backend's, made in this process, as the Python API's worker makes it."""

    def __init__(self, backend: str, document: Mapping[str, Any], store: Store) -> None:
        self._container = Container(load(backend), Spec.build(dict(document), "spec"), store)

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it is made
        """The container's id, which its runtime's processes bear in their command lines."""
        return self._container.id if self._container.handle is not None else ""

    def create(self, stdio: tuple[int, int, int]) -> None:
        self._container.create(stdio)

    def start(self) -> None:
        self._container.start()

    def wait(self, timeout: float) -> ExitStatus | None:
        return self._container.backend.wait(self._container.running_handle, timeout)

    def kill(self) -> None:
        handle = self._container.running_handle
        self._container.backend.kill(handle, signal.SIGKILL, everyone=True)

    def delete(self) -> None:
        self._container.delete()

    def usage(self) -> Usage:
        return self._container.backend.usage(self._container.running_handle)

    def receipt(self) -> list[list[str]]:
        return [[row.feature, row.enforced] for row in self._container.receipt]


class Program:
    """A program with its streams, from its launch to the moment when nothing of it is left.

    Attributes:
        times: when, by the host's monotonic clock in seconds: `began`, `created`, `started`,
            `ended`, `killed`, `gone`; what didn't happen, or not apart, is left out.
        marks: each line that it wrote, with when its end was read.
    """

    def __init__(self, vehicle: Vehicle, stdin: bytes | None = b"", *, paced: bool = False) -> None:
        """`stdin` None keeps the program's standard input open and empty; of a `paced` one a line
        comes there for each that it wrote, once its time is noted."""
        self.vehicle = vehicle
        self.times: dict[str, float] = {}
        self.marks: list[tuple[float, str]] = []
        self.usage = Usage()
        self._rest = b""
        self._size = 0
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `remove` closes it
        self._paced = paced
        self._input, self._keep = _input(None if paced else stdin)
        self._output, self._given = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.remove()

    def launch(self) -> None:
        """Create and start it."""
        self._at("began")
        self.vehicle.create((self._input, self._given, self._errors.fileno()))
        if self.vehicle.name:
            self._at("created")
        self.vehicle.start()
        self._at("started")
        self._close("_input", "_given")

    def read(self, until: Callable[[], bool], deadline: float) -> None:
        """Read its marks until `until`, or the end of its output. Raises IsolateError if late."""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        while not until():
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise late()
            data = os.read(self._output, 65536)
            if not data:
                return
            self._take(data, time.monotonic())

    def _take(self, data: bytes, now: float) -> None:
        self._size += len(data)
        if self._size > _MOST:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.marks += [(now, line.decode(errors="replace")) for line in lines]
        if self._paced:
            with contextlib.suppress(BrokenPipeError):  # it doesn't wait after its last
                os.write(self._keep, b"\n" * len(lines))

    def finish(self, deadline: float) -> None:
        """Wait for its end, which must be exit code 0. Raises IsolateError."""
        self.read(lambda: False, deadline)
        status = None
        while status is None:
            status = self.vehicle.wait(_STEP)
            if status is None and time.monotonic() > deadline:
                raise late()
        self._at("ended")
        self.usage = self.vehicle.usage()
        if status.shell_code:
            raise IsolateError(f"the program ended with {status.shell_code}: {self.last_words()}")

    def kill(self, deadline: float) -> None:
        """Kill it, and wait until it is dead. Raises IsolateError if late."""
        self._at("killed")
        self.vehicle.kill()
        while self.vehicle.wait(_STEP) is None:
            if time.monotonic() > deadline:
                raise late()

    def remove(self) -> None:
        """Delete what carried it, and let go of its streams; idempotent."""
        self.vehicle.delete()
        self._at("gone")
        self._close("_input", "_given", "_output", "_keep")
        self._errors.close()

    def last_words(self) -> str:
        """The last line that it wrote to standard error."""
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - _LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line), "it said nothing")

    def _at(self, what: str) -> None:
        self.times.setdefault(what, time.monotonic())

    def _close(self, *names: str) -> None:
        for name in names:
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)


def late() -> IsolateError:
    """The error that means that a subject hangs."""
    return TooLateError("it didn't come to an end in time")


class TooLateError(IsolateError):
    """A program, or what carries it, takes longer than anybody waits."""


def _input(stdin: bytes | None) -> tuple[int, int]:
    """The program's standard input, and the end that keeps it open."""
    if stdin is None:
        return os.pipe()
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.flush()
        file.seek(0)
        return os.dup(file.fileno()), -1

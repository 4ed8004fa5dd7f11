"""A conversation with a running container: functions called inside, and the host's look at it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from isolate.errors import IsolateError
from isolate.probe import bundle, outside
from isolate.probe.inside.kernel import boot_id
from isolate.probe.model import SECONDS, Answer
from isolate.probe.subject import error_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isolate.probe.model import Scene
    from isolate.probe.subject import Subject

BOOT_ID = "isolate.probe.inside.kernel:boot_id"
CARELESS = "ISOLATE_PROBE_CARELESS"  # the variable of a careless launcher
_START = 60  # seconds that a container has to start
_RARE = 117


class Talk:
    """The driver at the other end of a command's standard streams.

    Attributes:
        alive: whether it has answered so far.
        hung: whether it didn't answer in time.
    """

    def __init__(self, running: subprocess.Popen[bytes], errors: int) -> None:
        self.alive = True
        self.hung = False
        self._running = running
        self._errors = errors
        self._unread = b""

    def call(self, attempt: str, *, seconds: int = SECONDS, **arguments: Any) -> Answer:
        """What a function (`package.module:function`) returned or raised inside."""
        return self._ask(attempt, seconds, arguments, hold=False)

    @contextmanager
    def hold(self, attempt: str, *, seconds: int = SECONDS, **arguments: Any) -> Iterator[Answer]:
        """What a generator function yielded inside; its process stays so during the block."""
        answer = self._ask(attempt, seconds, arguments, hold=True)
        try:
            yield answer
        finally:
            self._send(b"\n")

    def _ask(self, attempt: str, seconds: int, arguments: dict[str, Any], *, hold: bool) -> Answer:
        mark = secrets.token_hex(8)
        asked = {"call": attempt, "arguments": arguments, "seconds": seconds, "hold": hold}
        self._send(bundle.plan([asked], mark))
        # The driver gives up two seconds after the attempt's own alarm.
        deadline = time.monotonic() + seconds + 5
        while (line := self._line(deadline)) is not None:
            if given := answers(line, mark):
                return given[0]
        return Answer(fault=f"it has ended: {self._words()}")

    def _send(self, data: bytes) -> None:
        if self._running.stdin is not None and self.alive:
            try:
                self._running.stdin.write(data)
                self._running.stdin.flush()
            except OSError:
                self.alive = False

    def _line(self, deadline: float) -> bytes | None:
        """The next line; None where none comes."""
        stdout = self._running.stdout
        while self.alive and stdout is not None and b"\n" not in self._unread:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                self.alive, self.hung = False, True
                break
            part = os.read(stdout.fileno(), 65536)
            self._unread += part
            self.alive = bool(part)
        line, newline, self._unread = self._unread.partition(b"\n")
        return line if newline else None

    def _words(self) -> str:
        """Why it ended: what isolate said."""
        if self.hung:
            return "no answer in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(2)
        said = error_line(os.pread(self._errors, 65536, 0))
        return said or f"exit status {self._running.returncode}"

    def finish(self) -> None:
        """Let the driver end."""
        if self._running.stdin is not None:
            with contextlib.suppress(OSError):
                self._running.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(0 if self.hung else _START)


class Inside(Talk):
    """A container with the driver in it.

    Attributes:
        subject: where it runs.
        name: the container's id.
        own_kernel: whether another kernel than the host's runs it.
    """

    def __init__(
        self, subject: Subject, overlay: Mapping[str, Any], stack: ExitStack, **launcher: Any
    ) -> None:
        mark = secrets.token_hex(8)
        self.subject = subject
        self.name = f"probe-{mark}"
        self.own_kernel = False
        self._argv = [*_driver(subject), mark]
        self._stack = stack
        self._launcher = launcher
        self._executed: Talk | None = None
        errors = _scratch(stack)
        launch = subject.launch(self._argv, overlay, name=self.name, stderr=errors, **launcher)
        super().__init__(stack.enter_context(launch), errors)
        stack.callback(self.finish)
        found = self.call(BOOT_ID, seconds=_START)
        subject.hung = self.hung
        if not self.alive:
            raise IsolateError(f"no answer from inside: {found}")
        # A runtime may show a boot id of its own making; that the host has no such process is
        # what no runtime can pretend.
        self.own_kernel = found.value != boot_id() and not self.processes()

    def _ask(self, attempt: str, seconds: int, arguments: dict[str, Any], *, hold: bool) -> Answer:
        answer = super()._ask(attempt, seconds, arguments, hold=hold)
        answer.own_kernel = self.own_kernel
        return answer

    def processes(self) -> list[int]:
        """The pids on the host of its processes, forked ones too; none where the host has none."""
        line = "\0".join([*self._argv, ""]).encode()
        return [pid for pid in outside.pids() if outside.command_line(pid) == line]

    def driver(self) -> int | None:
        """The pid on the host of the first of them; None where the host has none."""
        found = self.processes()
        # Not the lowest: pids begin anew.
        return next((pid for pid in found if outside.parent(pid) not in found), None)

    def executed(self) -> Talk | None:
        """A further driver, executed in the running container by a launcher like its own; None
        where the subject can't."""
        command = self.subject.further(self.name, _driver(self.subject))
        if self._executed is None and command is not None:
            errors = _scratch(self._stack)
            running = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                **self._launcher,
            )
            self._executed = Talk(self._stack.enter_context(running), errors)
            self._stack.callback(self._executed.finish)
        return self._executed


def _scratch(stack: ExitStack) -> int:
    """A file that is gone with the block."""
    return stack.enter_context(tempfile.TemporaryFile()).fileno()


def answers(stdout: bytes, mark: str) -> list[Answer]:
    """What the driver has written, in the order of the attempts."""
    found = []
    for line in stdout.decode(errors="replace").splitlines():
        if line.startswith(mark):
            try:
                found.append(Answer(**json.loads(line.removeprefix(mark))))
            except ValueError:  # cut off, where the container was ended in the middle of it
                break
    return found


def _driver(subject: Subject) -> list[str]:
    return [*subject.python(), "-c", bundle.driver()]


@contextmanager
def leaked_directory(scene: Scene) -> Iterator[int]:
    """A descriptor of `scene.directory`, with a number that no launcher has one of."""
    opened = os.open(scene.directory, os.O_RDONLY | os.O_DIRECTORY)
    leaked = fcntl.fcntl(opened, fcntl.F_DUPFD, _RARE)
    os.close(opened)
    try:
        yield leaked
    finally:
        os.close(leaked)


@contextmanager
def converse(
    scene: Scene, overlay: Mapping[str, Any] | None = None, *, careless: int | None = None
) -> Iterator[Inside]:
    """A container to talk to, ended with the block.

    Args:
        scene: the host's side, and the subject.
        overlay: a part of a spec document that it has besides.
        careless: the descriptor that a launcher passes on that is careless in all ways, as
            `isolate.probe.model.LiveProbe` says.

    Raises IsolateError or OSError where it can't be launched.
    """
    launcher: dict[str, Any] = {}
    if careless is not None:
        launcher["pass_fds"] = [careless]
        launcher["cwd"] = scene.directory
        launcher["env"] = {**os.environ, CARELESS: scene.token}
    with ExitStack() as stack:
        yield Inside(scene.subject, overlay or {}, stack, **launcher)

"""A conversation with a running container: functions called inside, and the host's look at it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

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


class Inside:
    """A container with the driver in it.

    Attributes:
        subject: where it runs.
        name: the container's id.
        alive: whether it has answered so far.
        own_kernel: whether another kernel than the host's runs it.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        argv: list[str],
        name: str,
        running: subprocess.Popen[bytes],
        errors: IO[bytes],
        launcher: dict[str, Any],
    ) -> None:
        self.name = name
        self.alive = True
        self.own_kernel = False
        self.subject = subject
        self._argv = argv
        self._running = running
        self._errors = errors
        self._launcher = launcher
        self._unread = b""
        found = self.call(BOOT_ID, seconds=_START)
        if not self.alive:
            raise IsolateError(f"no answer from inside: {found}")
        # A runtime may show a boot id of its own making; that the host has no such process is
        # what no runtime can pretend.
        self.own_kernel = found.value != boot_id() and not self.processes()

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

    def processes(self) -> list[int]:
        """The pids on the host of its processes, forked ones too; none where the host has none."""
        line = "\0".join([*self._argv, ""]).encode()
        return [pid for pid in outside.pids() if outside.command_line(pid) == line]

    def call_further(self, attempt: str, **arguments: Any) -> Answer | None:
        """The same in a program executed in the running container besides, by a launcher like its
        own; None where the subject can't."""
        command = self.subject.further(self.name, _driver(self.subject))
        if command is None:
            return None
        asked = {"call": attempt, "arguments": arguments, "seconds": SECONDS}
        mark = secrets.token_hex(8)
        done = subprocess.run(
            command,
            input=bundle.plan([asked], mark),
            capture_output=True,
            check=False,
            timeout=_START,
            **self._launcher,
        )
        for answer in answers(done.stdout, mark):
            return answer
        return Answer(fault=f"nothing was executed: {error_line(done.stderr)}")

    def _ask(self, attempt: str, seconds: int, arguments: dict[str, Any], *, hold: bool) -> Answer:
        mark = secrets.token_hex(8)
        asked = {"call": attempt, "arguments": arguments, "seconds": seconds, "hold": hold}
        self._send(bundle.plan([asked], mark))
        # The driver gives up two seconds after the attempt's own alarm.
        line = self._line(mark.encode(), time.monotonic() + seconds + 5)
        if line is None:
            return Answer(fault=f"the container has ended: {self._words()}")
        answer = Answer(**json.loads(line))
        answer.own_kernel = self.own_kernel
        return answer

    def _send(self, data: bytes) -> None:
        if self._running.stdin is not None and self.alive:
            try:
                self._running.stdin.write(data)
                self._running.stdin.flush()
            except OSError:
                self.alive = False

    def _line(self, mark: bytes, deadline: float) -> bytes | None:
        """The rest of the next line that begins with `mark`; None where none comes."""
        stdout = self._running.stdout
        while self.alive and stdout is not None:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                if line.startswith(mark):
                    return line.removeprefix(mark)
                continue
            left = max(0.0, deadline - time.monotonic())
            part = (
                os.read(stdout.fileno(), 65536) if select.select([stdout], [], [], left)[0] else b""
            )
            self._unread += part
            self.alive = bool(part)
        return None

    def _words(self) -> str:
        """Why it ended: what isolate said."""
        with contextlib.suppress(Exception):
            self._running.wait(2)
        self._errors.seek(0)
        return error_line(self._errors.read()) or f"exit status {self._running.returncode}"


def answers(stdout: bytes, mark: str) -> list[Answer]:
    """What the driver has written, in the order of the attempts."""
    lines = stdout.decode(errors="replace").splitlines()
    said = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    return [Answer(**json.loads(line)) for line in said]


def _driver(subject: Subject) -> list[str]:
    return [*subject.python(), "-c", bundle.driver()]


@contextmanager
def converse(
    scene: Scene, overlay: Mapping[str, Any] | None = None, *, careless: bool = False
) -> Iterator[Inside]:
    """A container to talk to, ended with the block.

    Args:
        scene: the host's side, and the subject.
        overlay: a part of a spec document that it has besides.
        careless: launch it as `isolate.probe.model.LiveProbe` says.

    Raises IsolateError or OSError where it can't be launched.
    """
    mark = secrets.token_hex(8)
    argv = [*_driver(scene.subject), mark]
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        launcher: dict[str, Any] = {}
        if careless:
            leaked = os.open(scene.directory, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, leaked)
            launcher["pass_fds"] = [leaked]
            launcher["cwd"] = scene.directory
            launcher["env"] = {**os.environ, CARELESS: scene.token}
        name = f"probe-{mark}"
        running = stack.enter_context(
            scene.subject.launch(argv, overlay, name=name, stderr=errors, **launcher)
        )
        yield Inside(
            scene.subject, argv=argv, name=name, running=running, errors=errors, launcher=launcher
        )
        if running.stdin is not None:
            with contextlib.suppress(OSError):
                running.stdin.close()
        with contextlib.suppress(Exception):
            running.wait(_START)

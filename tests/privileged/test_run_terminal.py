"""`isolate run -t`: a real terminal with size, keys and job control, restored at the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")


class Terminal:
    """A pseudo-terminal whose session `isolate` leads, as below a login shell."""

    def __init__(self, isolate: Isolate, *args: str) -> None:
        self.master, self.peer = os.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.peer)
        words = isolate.argv(*args)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.peer, termios.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(self.peer, number)
            os.closerange(3, 256)
            os.chdir(isolate.state.parent)
            os.execve(words[0], words, isolate.environment)
        self.text = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.peer, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read_until(self, word: bytes) -> bytes:
        """All that was shown since the last call, to the end of `word`."""
        deadline = time.monotonic() + 20
        while word not in self.text:
            ready = select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, f"{word!r} doesn't come: {self.text!r}"
            self.text += os.read(self.master, 4096)
        shown, _, self.text = self.text.partition(word)
        return shown + word

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def wait(self) -> int:
        """The exit code; negative: the signal."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = -1
                return os.waitstatus_to_exitcode(status)
            if select.select([self.master], [], [], 0.01)[0]:
                self.text += os.read(self.master, 4096)
        raise AssertionError(f"isolate doesn't end: {self.text!r}")

    def attributes(self) -> list[object]:
        found: list[object] = termios.tcgetattr(self.peer)
        return found

    def close(self) -> None:
        if self.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.peer)


@contextlib.contextmanager
def terminal(isolate: Isolate, root: Path, *args: str) -> Iterator[Terminal]:
    made = Terminal(isolate, "run", f"--rootfs={root}", *args)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=[["-it"], ["-t", "--init"]], ids=["pid 1", "init"])
def options(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


def test_it_is_a_terminal_of_its_own(
    isolate_cmd: Isolate, busybox: Path, options: list[str]
) -> None:
    script = 'tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo "all $TERM"; ls -l /dev/console; exit 7'
    with terminal(isolate_cmd, busybox, *options, "--", "sh", "-c", script) as tty:
        assert tty.read_until(b"/dev/pts/0")
        tty.read_until(b"all ")
        tty.read_until(b"/dev/console")
        assert tty.wait() == 7
        assert tty.attributes() == tty.before


def test_size_and_resize(isolate_cmd: Isolate, busybox: Path, options: list[str]) -> None:
    script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.02; done"
    with terminal(isolate_cmd, busybox, *options, "--", "sh", "-c", script) as tty:
        assert b"24 80" in tty.read_until(b"ready")
        tty.resize(50, 132)
        os.kill(tty.pid, signal.SIGWINCH)
        tty.read_until(b"50 132")
        os.kill(tty.pid, signal.SIGTERM)
        assert tty.wait() == 128 + signal.SIGTERM
        assert tty.attributes() == tty.before


def test_ctrl_c_is_the_programs(isolate_cmd: Isolate, busybox: Path, options: list[str]) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.02; done"
    with terminal(isolate_cmd, busybox, *options, "--", "sh", "-c", script) as tty:
        tty.read_until(b"ready")
        tty.type(b"\x03")
        tty.read_until(b"caught")
        assert tty.wait() == 9


def test_job_control(isolate_cmd: Isolate, busybox: Path, options: list[str]) -> None:
    """An interactive shell: Ctrl-Z stops its job, `fg` goes on, Ctrl-C ends it."""
    with terminal(isolate_cmd, busybox, *options, "--env=PS1=$ ", "--", "sh", "-i") as tty:
        assert b"can't access tty" not in tty.read_until(b"$ ")
        tty.type(b"sleep 1000\n")
        tty.read_until(b"sleep 1000")
        time.sleep(0.2)
        tty.type(b"\x1a")
        tty.read_until(b"Stopped")
        tty.type(b"fg\n")
        tty.read_until(b"sleep 1000")
        time.sleep(0.2)
        tty.type(b"\x03")
        time.sleep(0.2)
        tty.type(b"echo $?-status\n")
        tty.read_until(b"130-status")
        tty.type(b"exit 4\n")
        assert tty.wait() == 4
        assert tty.attributes() == tty.before


def test_typed_text_arrives_once(isolate_cmd: Isolate, busybox: Path) -> None:
    script = 'echo ready; read line; echo "<$line>"'
    with terminal(isolate_cmd, busybox, "-t", "--", "sh", "-c", script) as tty:
        tty.read_until(b"ready")
        tty.type("größe\n".encode())
        tty.read_until("<größe>".encode())
        assert tty.wait() == 0


def test_restored_after_sigkill(isolate_cmd: Isolate, busybox: Path) -> None:
    """Nothing of isolate runs any more, and yet the terminal is as it was."""
    with terminal(
        isolate_cmd, busybox, "-t", "--name=raw", "--", "sh", "-c", "echo ready; cat"
    ) as tty:
        tty.read_until(b"ready")
        assert tty.attributes() != tty.before, "raw while it runs"
        os.kill(tty.pid, signal.SIGKILL)
        assert tty.wait() == -signal.SIGKILL
        deadline = time.monotonic() + 10
        while tty.attributes() != tty.before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert tty.attributes() == tty.before
    assert isolate_cmd("gc").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_restored_after_a_signal(
    isolate_cmd: Isolate, busybox: Path, number: signal.Signals
) -> None:
    with terminal(
        isolate_cmd, busybox, "-t", "--", "sh", "-c", "echo ready; exec sleep 1000"
    ) as tty:
        tty.read_until(b"ready")
        time.sleep(0.05)
        os.kill(tty.pid, number)
        assert tty.wait() == 128 + number
        assert tty.attributes() == tty.before


def test_restored_where_the_program_is_not_found(isolate_cmd: Isolate, busybox: Path) -> None:
    with terminal(isolate_cmd, busybox, "-t", "--", "absent") as tty:
        assert tty.wait() == 127
        assert tty.attributes() == tty.before


def test_hang_up_of_the_callers_terminal(isolate_cmd: Isolate, busybox: Path) -> None:
    with terminal(
        isolate_cmd, busybox, "-t", "--", "sh", "-c", "echo ready; exec sleep 1000"
    ) as tty:
        tty.read_until(b"ready")
        master, tty.master = tty.master, os.open("/dev/null", os.O_RDWR)
        os.close(master)
        with contextlib.suppress(OSError):
            os.kill(tty.pid, 0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pid, status = os.waitpid(tty.pid, os.WNOHANG)
            if pid:
                tty.pid = -1
                break
            time.sleep(0.01)
        assert tty.pid == -1, "it ends when its terminal is gone"
        assert os.waitstatus_to_exitcode(status) in (128 + signal.SIGHUP, -signal.SIGHUP)


def test_a_terminal_without_one_of_the_callers(isolate_cmd: Isolate, busybox: Path) -> None:
    """In a pipeline: the program has a terminal, its output arrives, nobody's mode is changed."""
    done = isolate_cmd("run", "-t", f"--rootfs={busybox}", "--", "sh", "-c", "tty; echo end")
    assert done.returncode == 0
    assert done.stdout == "/dev/pts/0\nend\n"


def test_a_flood_through_a_terminal(isolate_cmd: Isolate, busybox: Path) -> None:
    script = "stty -opost; head -c 3000000 /dev/zero | tr '\\0' x; exit 5"
    with terminal(isolate_cmd, busybox, "-t", "--", "sh", "-c", script) as tty:
        count = 0
        while True:
            if select.select([tty.master], [], [], 0.02)[0]:
                count += os.read(tty.master, 65536).count(b"x")
            elif os.waitpid(tty.pid, os.WNOHANG)[0]:
                tty.pid = -1
                break
        assert count == 3_000_000


def test_the_callers_terminal_is_not_the_programs(isolate_cmd: Isolate, busybox: Path) -> None:
    """Without -t the descriptors are passed on, but not the control: a session of its own."""
    script = "cat /dev/tty 2>&1; cut -d' ' -f7 /proc/self/stat; exit 3"
    with terminal(isolate_cmd, busybox, "--", "sh", "-c", script) as tty:
        tty.read_until(b"No such device")
        assert tty.wait() == 3

"""Signals sent to `isolate run`: forwarded, also at the start and during clean-up, also twice."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from isolate.linux import signals

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
KINDS = {
    "namespaces": ["-b", "namespaces"],
    "init": ["-b", "namespaces", "--init"],
    "chroot": ["-b", "chroot"],
}


def ready(running: subprocess.Popen[bytes]) -> None:
    """Wait for the program's first line."""
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n", running.stderr and running.stderr.read()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_the_default_action(
    isolate_cmd: Isolate, busybox: Path, kind: str, number: signal.Signals
) -> None:
    """Also for a pid 1, which the kernel shields from signals that it doesn't handle."""
    script = "ulimit -c 0; echo ready; exec sleep 1000"
    args = ["run", *KINDS[kind], f"--rootfs={busybox}", "--", "sh", "-c", script]
    with isolate_cmd.popen(*args) as running:
        ready(running)
        time.sleep(0.05)  # until the exec has reset what the shell set
        running.send_signal(number)
        assert running.wait(20) == 128 + number


@pytest.mark.parametrize("kind", KINDS)
def test_handlers_run(isolate_cmd: Isolate, busybox: Path, kind: str) -> None:
    script = "trap 'echo got; exit 42' TERM; echo ready; while :; do sleep 0.02; done"
    args = ["run", *KINDS[kind], f"--rootfs={busybox}", "--", "sh", "-c", script]
    with isolate_cmd.popen(*args) as running:
        ready(running)
        running.send_signal(signal.SIGTERM)
        assert running.stdout is not None
        assert running.stdout.readline() == b"got\n"
        assert running.wait(20) == 42


@pytest.mark.parametrize("kind", KINDS)
def test_an_ignored_signal_is_the_programs_choice(
    isolate_cmd: Isolate, busybox: Path, kind: str
) -> None:
    script = "trap '' TERM; echo ready; read line; echo $line"
    args = ["run", *KINDS[kind], f"--rootfs={busybox}", "--", "sh", "-c", script]
    with isolate_cmd.popen(*args) as running:
        ready(running)
        for _ in range(3):
            running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(b"still here\n", timeout=20)
    assert (running.returncode, out) == (0, b"still here\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("milliseconds", [5, 15, 25, 35, 45, 60, 80, 110])
def test_at_the_start_and_twice(
    isolate_cmd: Isolate, busybox: Path, number: signal.Signals, milliseconds: int
) -> None:
    """Whenever it comes: it ends, cleans up (fixtures look), and says which signal it was."""
    args = ["run", f"--rootfs={busybox}", "--", "sleep", "1000"]
    with isolate_cmd.popen(*args) as running:
        time.sleep(milliseconds / 1000)
        running.send_signal(number)
        time.sleep(0.003)
        running.send_signal(number)
        _, err = running.communicate(timeout=20)
    if b"KeyboardInterrupt" in err:  # Python's own start, before a line of ours
        assert b"isolate/cli/run.py" not in err
        return
    assert running.returncode in (128 + number, -number)
    assert b"Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_during_clean_up(isolate_cmd: Isolate, busybox: Path, number: signal.Signals) -> None:
    """The program has ended: its exit status stands, whatever comes then."""
    args = ["run", f"--rootfs={busybox}", "--", "sh", "-c", "echo ready; exit 5"]
    for pause in (0.0, 0.001, 0.002, 0.004, 0.008):
        with isolate_cmd.popen(*args) as running:
            ready(running)
            time.sleep(pause)
            for _ in range(2):
                running.send_signal(number)
            _, err = running.communicate(timeout=20)
        # Between the line and the exit it is the program that is hit.
        assert running.returncode in (5, 128 + number, -number), err
        assert b"Traceback" not in err
        left = list((isolate_cmd.state / "containers").iterdir())
        assert left == []


@pytest.mark.parametrize("kind", KINDS)
def test_isolate_killed_kills_the_program(isolate_cmd: Isolate, busybox: Path, kind: str) -> None:
    """SIGKILL: nothing of ours runs any more, and yet the program dies; gc does the rest."""
    script = "echo ready; exec cat"
    args = ["run", *KINDS[kind], "--name=orphan", f"--rootfs={busybox}", "--", "sh", "-c", script]
    with isolate_cmd.popen(*args) as running:
        ready(running)
        running.kill()
        assert running.stdout is not None
        assert running.stdout.read() == b"", "the program's copy of the stream is closed"
        running.wait()
    assert isolate_cmd("ps", check=True).stdout.split().count("stale") == 1
    isolate_cmd("gc", check=True)
    assert list((isolate_cmd.state / "containers").iterdir()) == []


def test_stop_and_continue(isolate_cmd: Isolate, busybox: Path) -> None:
    """A stopped isolate loses nothing: the program goes on, its end is told later."""
    args = ["run", f"--rootfs={busybox}", "--", "sh", "-c", "echo ready; exit 6"]
    with isolate_cmd.popen(*args) as running:
        running.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        running.send_signal(signal.SIGCONT)
        assert running.wait(20) == 6


def test_signals_that_the_caller_ignores_are_not_ignored_inside(
    isolate_cmd: Isolate, busybox: Path
) -> None:
    """nohup and Python leave SIGHUP, SIGPIPE, SIGXFSZ ignored, some programs even the two signals
    that libc keeps for its threads; a container begins afresh."""
    words = isolate_cmd.argv(
        *("run", f"--rootfs={busybox}", "--"),
        *("grep", "-E", "Sig(Ign|Blk|Cgt)", "/proc/self/status"),
    )
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        ignored = (1).to_bytes(8, "little") + bytes(24)  # the kernel's struct sigaction
        for kept in (32, 33):
            signals._rt_sigaction(kept, ignored, None, 8)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGALRM})
        os.dup2(writer, 1)
        os.chdir(isolate_cmd.state.parent)
        os.execve(words[0], words, isolate_cmd.environment)
    os.close(writer)
    with os.fdopen(reader) as out:
        lines = dict(line.split() for line in out)
    os.waitpid(pid, 0)
    assert int(lines["SigIgn:"], 16) == 0
    assert int(lines["SigBlk:"], 16) == 0

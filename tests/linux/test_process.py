"""Processes by pid and start time, on the real kernel."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from isolate.linux import process

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_NAME = 15


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_identify_gives_what_ps_would_compare(sleeper: subprocess.Popen[bytes]) -> None:
    found = process.identify(sleeper.pid)
    with open(f"/proc/{sleeper.pid}/stat") as file:
        assert found.start_time == int(file.read().split()[21])
    assert found == process.Identity(sleeper.pid, found.start_time)
    assert len({found, process.identify(sleeper.pid), process.identify(os.getpid())}) == 2


@pytest.mark.parametrize("name", [b"a) R 1 2 (b", b")))))", b"x y\nz", b"\xff\xfe) 1"])
def test_a_hostile_command_name_changes_nothing(name: bytes) -> None:
    expected = process.identify(os.getpid())
    with open("/proc/self/comm", "rb") as file:
        before = file.read().rstrip(b"\n")
    libc = ctypes.CDLL(None)
    try:
        assert libc.prctl(_PR_SET_NAME, name) == 0
        assert process.identify(os.getpid()) == expected
        assert process.alive(expected.pid, expected.start_time)
    finally:
        libc.prctl(_PR_SET_NAME, before)


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process.identify(sleeper.pid)
    assert process.alive(identity.pid, identity.start_time)
    pidfd = process.open_pidfd(identity.pid, identity.start_time)
    try:
        assert not process.wait_pidfd(pidfd, 0)
        process.send_signal(pidfd, signal.SIGKILL)
        assert process.wait_pidfd(pidfd, 10)
        assert not process.alive(identity.pid, identity.start_time)  # not reaped yet
        assert process.identify(identity.pid) == identity
        sleeper.wait()
        assert process.wait_pidfd(pidfd)
        with pytest.raises(ProcessLookupError):
            process.send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    with pytest.raises(ProcessLookupError):
        process.identify(identity.pid)


def test_a_leader_whose_threads_run_on_is_alive() -> None:
    script = (
        "import ctypes, threading, time;"
        "threading.Thread(target=time.sleep, args=(60,)).start();"
        "ctypes.CDLL(None).syscall(60 if __import__('os').uname().machine == 'x86_64' else 93, 0)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        identity = process.identify(child.pid)
        deadline = time.monotonic() + 10
        while process.parse_status(_status(child.pid))["State"][0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.alive(identity.pid, identity.start_time)
        child.kill()


def _status(pid: int) -> str:
    with open(f"/proc/{pid}/status") as file:
        return file.read()


def test_a_reused_pid_is_refused(sleeper: subprocess.Popen[bytes]) -> None:
    wrong = process.identify(sleeper.pid).start_time - 1
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProcessLookupError):
        process.open_pidfd(sleeper.pid, wrong)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not process.alive(sleeper.pid, wrong)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_a_pid_that_cannot_be(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        process.open_pidfd(pid, 1)
    assert not process.alive(pid, 1)


@pytest.mark.parametrize(("code", "expected"), [("exit 7", 7 << 8), ("kill -9 $$", 9)])
def test_exit_info_is_the_wait_status(code: str, expected: int) -> None:
    with subprocess.Popen(["sh", "-c", f"read x; {code}"], stdin=subprocess.PIPE) as child:
        pidfd = os.pidfd_open(child.pid)
        try:
            assert process.exit_info(pidfd) is None
            child.communicate(b"\n")
            wanted = expected if _kernel() >= (6, 15) else None
            assert process.exit_info(pidfd) == wanted
        finally:
            os.close(pidfd)


def _kernel() -> tuple[int, int]:
    major, minor, *_ = os.uname().release.replace("-", ".").split(".")
    return int(major), int(minor)


def test_exit_info_of_what_is_no_pidfd_fails_or_is_none() -> None:
    with open(os.devnull) as file:
        assert process.exit_info(file.fileno()) is None


def test_children_and_descendants() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        try:
            assert shell.pid in process.children(os.getpid())
            assert grandchild not in process.children(os.getpid())
            below = process.descendants(os.getpid())
            assert below.index(shell.pid) < below.index(grandchild)
            assert process.descendants(grandchild) == []
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_parse_status_agrees_with_the_kernel() -> None:
    status = process.parse_status(_status(os.getpid()))
    assert status["Pid"] == str(os.getpid())
    assert status["Uid"].split() == [str(uid) for uid in (*os.getresuid(), os.geteuid())]


def test_the_boot_id_stays() -> None:
    assert process.boot_id() == process.boot_id()
    assert len(process.boot_id()) == 36

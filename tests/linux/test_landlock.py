"""Landlock in the running kernel: each right held and granted, from a restricted child."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from isolate.linux import landlock, prctl
from tests.support import filtered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.needs("landlock")


def restricted(
    function: Callable[[], Any],
    *,
    fs: int = 0,
    net: int = 0,
    scope: int = 0,
    rules: tuple[tuple[str, int], ...] = (),
    ports: tuple[int, ...] = (),
    flags: int = 0,
) -> Any:
    """What the function returns in a child that has restricted itself first."""

    def inside() -> Any:
        prctl.set_no_new_privs()
        with landlock.Ruleset(fs=fs, net=net, scope=scope) as ruleset:
            for path, access in rules:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
                ruleset.allow_beneath(descriptor, access)
                os.close(descriptor)
            ruleset.allow_ports(ports, landlock.NET_ALL)
            ruleset.restrict_self(flags)
        return function()

    return filtered.call(b"", inside)


def outcome(function: Callable[..., Any], *args: Any) -> str:
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def test_files_are_denied_but_where_a_rule_grants_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    (tmp_path / "out").write_text("x")

    def attempts() -> list[str]:
        return [
            outcome(os.stat, tmp_path / "out"),  # looking isn't restricted
            outcome(os.listdir, tmp_path),
            outcome((tmp_path / "out").read_text),
            outcome((tmp_path / "in" / "file").read_text),
            outcome((tmp_path / "in" / "file").write_text, "y"),
            outcome(os.mknod, tmp_path / "in" / "fifo", 0o10600),
        ]

    rules = ((str(tmp_path / "in"), landlock.FS_READ),)
    found = restricted(attempts, fs=landlock.FS_ALL, rules=rules)
    assert found == ["done", "EACCES", "EACCES", "done", "EACCES", "EACCES"]


def test_a_rule_may_stand_on_a_single_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text("x")

    def attempts() -> list[str]:
        return [outcome((tmp_path / name).write_text, "y") for name in ("one", "other")]

    rules = ((str(tmp_path / "one"), landlock.FS_ALL),)  # rights of directories are left out
    assert restricted(attempts, fs=landlock.FS_ALL, rules=rules) == ["done", "EACCES"]


def test_truncation_needs_its_right(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    rules = ((str(tmp_path), landlock.FS_WRITE_FILE | landlock.FS_READ),)
    found = restricted(
        lambda: outcome(os.truncate, tmp_path / "file", 0), fs=landlock.FS_ALL, rules=rules
    )
    assert found == "EACCES"
    assert (tmp_path / "file").read_text() == "text"


def test_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def attempts() -> list[str]:
            found = []
            for number in (port, 1):
                with socket.socket() as client:
                    found.append(outcome(client.connect, ("127.0.0.1", number)))
            with socket.socket() as other:
                found.append(outcome(other.bind, ("127.0.0.1", 0)))
            return found

        assert restricted(attempts, net=landlock.NET_ALL, ports=(port,)) == [
            "done",
            "EACCES",
            "EACCES",
        ]


def test_ioctls_of_devices_need_their_right() -> None:
    import fcntl
    import termios

    def attempt() -> str:
        descriptor = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return outcome(fcntl.ioctl, descriptor, termios.TIOCGWINSZ, bytes(8))
        finally:
            os.close(descriptor)

    everything = landlock.FS_ALL & ~landlock.FS_IOCTL_DEV
    assert restricted(attempt, fs=landlock.FS_ALL, rules=(("/", everything),)) == "EACCES"
    assert restricted(attempt, fs=landlock.FS_ALL, rules=(("/", landlock.FS_ALL),)) == "done"


def test_abstract_sockets_of_others_are_out_of_scope() -> None:
    name = f"\0isolate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()

        def attempt() -> str:
            with socket.socket(socket.AF_UNIX) as client:
                return outcome(client.connect, name)

        assert restricted(attempt, scope=landlock.SCOPE_ALL) == "EPERM"
        assert restricted(attempt, fs=landlock.FS_MAKE_CHAR) == "done"


def test_signals_to_others_are_out_of_scope() -> None:
    me = os.getpid()

    def attempts() -> list[str]:
        child = os.fork()
        if child == 0:
            time.sleep(10)
            os._exit(0)
        found = [outcome(os.kill, me, 0), outcome(os.kill, child, signal.SIGKILL)]
        os.waitpid(child, 0)
        return found

    assert restricted(attempts, scope=landlock.SCOPE_SIGNAL) == ["EPERM", "done"]


def test_the_log_flags_are_taken() -> None:
    found = restricted(lambda: "alive", scope=landlock.SCOPE_ALL, flags=landlock.LOG_SAME_EXEC_OFF)
    assert found == "alive"


def test_every_abi_has_a_description() -> None:
    """Older ones restrict a subset of what newer ones do."""
    supports = [landlock.Support(version) for version in range(8)]
    for older, newer in itertools.pairwise(supports):
        assert older.fs & ~newer.fs == 0
        assert older.net & ~newer.net == 0
        assert older.scope & ~newer.scope == 0
    assert supports[7].fs == landlock.FS_ALL
    assert landlock.missing(7) == []
    assert len(landlock.missing(0)) == 7
    assert landlock.missing(landlock.abi()) == landlock.missing(7) or landlock.abi() < 7


def test_without_no_new_privs_an_ordinary_user_is_refused() -> None:
    def attempt() -> str:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        with landlock.Ruleset(scope=landlock.SCOPE_ALL) as ruleset:
            return outcome(ruleset.restrict_self)

    assert filtered.call(b"", attempt) == "EPERM"


def test_other_threads_are_not_restricted(tmp_path: Path) -> None:
    """So it has to be done before there are others."""

    def attempts() -> list[str]:
        found: list[str] = []
        go = threading.Event()

        def other() -> None:
            go.wait()
            found.append(outcome(os.listdir, tmp_path))

        thread = threading.Thread(target=other)
        thread.start()
        prctl.set_no_new_privs()
        with landlock.Ruleset(fs=landlock.FS_ALL) as ruleset:
            ruleset.restrict_self()
        found.append(outcome(os.listdir, tmp_path))
        go.set()
        thread.join()
        return found

    assert filtered.call(b"", attempts) == ["EACCES", "done"]

"""spawn: streams, session, signals, arguments, failures."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from isolate.linux.spawn import spawn


def output(*args: str, env: dict[str, str] | None = None) -> bytes:
    """What a shell script says, run by `spawn` with standard error where its output goes."""
    ours, theirs = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = spawn("/bin/sh", ["sh", "-c", *args], env or {}, (null, theirs, theirs))
        os.close(theirs)
        with open(ours, "rb") as file:
            said = file.read()
    finally:
        os.close(null)
    assert os.waitpid(pid, 0)[1] == 0
    return said


def test_arguments_environment_and_streams() -> None:
    assert output("cat; echo $0 $1 $A; echo err >&2", "zero", "ü", env={"A": "b=c"}) == (
        "zero ü b=c\nerr\n".encode()
    )


def test_a_session_of_its_own() -> None:
    pid, group, session = output("cut -d ' ' -f 1,5,6 /proc/$$/stat").split()
    assert pid == group == session
    assert int(session) != os.getsid(0)


def test_every_signal_is_at_its_default() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        said = output("exec cat /proc/self/status").decode()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    found = dict(line.split(":\t") for line in said.splitlines() if line.startswith("Sig"))
    assert {found[name] for name in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


@pytest.mark.parametrize(("path", "number"), [("/no-such-file", errno.ENOENT), ("/", errno.EACCES)])
def test_what_can_not_be_executed(path: str, number: int) -> None:
    with pytest.raises(OSError, match=path) as caught:
        spawn(path, [path], {}, (0, 1, 2))
    assert caught.value.errno == number

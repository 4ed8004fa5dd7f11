"""What holds a test session together: its directory, its init, its mount namespace.

The session runs as the child of an init of its own. So orphans are reaped as on any host, what a
test leaves behind is found by descent and not by name, and nothing outlives a killed session.
As root it has a mount namespace of its own, shared within like a host's with systemd: a mount
that leaks out of a container is seen here, and ends here.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NoReturn

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MS_REC_SHARED = 0x4000 | 0x100000
_PREFIX = "isolate-tests."

_state: dict[str, Path] = {}


def directory() -> Path:
    """The session's directory: anyone may pass through it."""
    return _state["directory"]


def begin() -> None:
    """Make the directory, fork the session off its init, give it a mount namespace."""
    _sweep()
    _state["directory"] = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    directory().chmod(0o755)
    lock = os.open(directory() / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child:
        _be_init(child)
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    with contextlib.suppress(PermissionError):  # not root, or root in a container
        _call("unshare", _CLONE_NEWNS)
        _call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
        _call("mount", None, b"/", None, _MS_REC_SHARED, None)


def descendants() -> set[int]:
    """Every process that the session started, orphans too; the session itself is not in it."""
    found: set[int] = set()
    todo = [os.getppid()]
    while todo:
        for child in _children(todo.pop()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found - {os.getpid()}


def _call(name: str, *args: bytes | int | None) -> None:
    if _libc[name](*(ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args)) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _be_init(session: int) -> NoReturn:
    """Reap until the session has ended, end what it left running, exit as it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the session too
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda number, _frame: os.kill(session, number))
    status = _reap(session)
    while children := _children(os.getpid()):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        _reap(children[0])
    shutil.rmtree(directory(), ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _reap(awaited: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == awaited:
            return status


def _children(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def _sweep() -> None:
    """Remove the directories of sessions that were killed together with their init."""
    for stale in Path("/tmp").glob(f"{_PREFIX}*"):
        try:
            lock = os.open(stale / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # being made just now, or not ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
        else:
            shutil.rmtree(stale, ignore_errors=True)
        finally:
            os.close(lock)

"""Attempts on limits: to take a little more than allowed, for a moment."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import time
from typing import TYPE_CHECKING

from isolate.probe.inside import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TMPFS = (0x1021994, 0x858458F6)  # tmpfs, ramfs (linux/magic.h): memory, and no disk


def allocate(size: int) -> Iterator[int]:
    """Hold so many bytes of memory, all of them touched."""
    memory = mmap.mmap(-1, size)
    for place in range(0, size, mmap.PAGESIZE):
        memory[place] = 1
    yield size


def fork_many(count: int, patience: int) -> Iterator[dict[str, object]]:
    """Hold so many processes that do nothing; fewer where the kernel says no."""
    made: list[int] = []
    refusal = None
    try:
        while len(made) < count:
            made += [_sleeper(patience)]
    except OSError as error:
        refusal = errno.errorcode[error.errno or 0]
    try:
        yield {"made": len(made), "refusal": refusal}
    finally:
        for pid in made:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _sleeper(patience: int) -> int:
    pid = os.fork()
    if pid == 0:
        signal.alarm(patience)
        signal.pause()
        os._exit(0)
    return pid


def burn(duration: float, processes: int) -> int:
    """Keep so many processes busy for so long."""
    end = time.monotonic() + duration
    made = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            signal.alarm(int(duration) + 2)
            while time.monotonic() < end:
                pass
            os._exit(0)
        made.append(pid)
    for pid in made:
        os.waitpid(pid, 0)
    return len(made)


def fill(directories: list[str], token: str, size: int) -> Iterator[str]:
    """Hold a file of so many bytes, already removed, in the first directory on a disk."""
    with _scratch(directories, token, os.O_RDWR) as (descriptor, place):
        os.posix_fallocate(descriptor, 0, size)
        yield place


def write_through(directories: list[str], token: str, size: int) -> Iterator[str]:
    """Write so many bytes past the page cache, 256 KiB at a time; hold when all are written."""
    with _scratch(directories, token, os.O_RDWR | os.O_DIRECT) as (descriptor, place):
        block = mmap.mmap(-1, 256 * 1024)
        for _ in range(0, size, len(block)):
            os.write(descriptor, block)
        yield place


@contextlib.contextmanager
def _scratch(directories: list[str], token: str, flags: int) -> Iterator[tuple[int, str]]:
    """A new file without a name, on a disk. Raises the last refusal."""
    refusal = OSError(errno.EROFS, "no directory on a disk takes a file")
    for directory in directories:
        path = os.path.join(directory, f"{token}-big")
        try:
            if raw.filesystem_of(directory) in _TMPFS:
                continue
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            refusal = error
            continue
        os.unlink(path)
        try:
            yield descriptor, directory
        finally:
            os.close(descriptor)
        return
    raise refusal


def schedule() -> Iterator[list[str]]:
    """Hold a real-time priority and a negative nice value, what of them it gets."""
    tries: dict[str, Callable[[], object]] = {
        "SCHED_FIFO": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "nice -5": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    }
    got, refusal = [], OSError(errno.EPERM, "refused")
    for name, take in tries.items():
        try:
            take()
            got.append(name)
        except OSError as error:
            refusal = error
    if not got:
        raise refusal
    yield got


def take_objects(terminals: int, files: int) -> Iterator[dict[str, int]]:
    """Hold pseudo-terminals and open files, as many of them as it gets."""
    held: list[int] = []
    got = {"terminals": 0, "files": 0}
    with contextlib.suppress(OSError):
        for _ in range(terminals):
            held += os.openpty()
            got["terminals"] += 1
    with contextlib.suppress(OSError):
        for _ in range(files):
            held += [os.open("/dev/null", os.O_RDONLY)]
            got["files"] += 1
    yield got


def count_objects() -> dict[str, int]:
    """How many the kernel counts: pseudo-terminals, and open files."""
    found = {}
    for name, path in (("terminals", "/proc/sys/kernel/pty/nr"), ("files", "/proc/sys/fs/file-nr")):
        with contextlib.suppress(OSError), open(path) as file:
            found[name] = int(file.read().split()[0])
    return found

"""Workloads of the kernel: system calls, processes, context switches, page faults, files, sockets.

The methods are those of lmbench (McVoy & Staelin, 1996): a loop long enough for the clock, less the
same loop without what is measured. Executed as text: `python -c SOURCE FUNCTION ARGUMENTS`.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import socket
import sys
import time
from itertools import repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = Callable[[int], object]

PAGE = mmap.PAGESIZE
MIB = 1 << 20
_ROOM = 1.3  # what was found in a slow moment should still be long enough


def mark(text: str) -> None:
    """Tell the host that something is so now, and go on when it has noted the time."""
    os.write(1, f"{text}\n".encode())
    os.read(0, 1)


def measure(seconds: float, work: Loop, empty: Loop, *, each: int = 1) -> None:
    """Find how many rounds take `seconds`, do them between marks, and tell their number.

    `each` is the number of operations in a round.
    """
    rounds = _rounds(seconds, work)
    mark("begin")
    work(rounds)
    mark("middle")
    empty(rounds)
    mark("end")
    mark(str(rounds * each))


def _rounds(seconds: float, work: Loop) -> int:
    rounds = 1
    while True:
        began = time.perf_counter()
        work(rounds)
        took = time.perf_counter() - began
        if took >= seconds / 4:
            return max(rounds, int(_ROOM * rounds * seconds / took) + 1)
        rounds *= 2


def nothing(rounds: int) -> None:
    """What is left without an operation that has no other cost."""


def syscall(seconds: float) -> None:
    """A cheap real system call, less the loop around a call that stays in the interpreter."""

    def loop(function: Callable[[], object], rounds: int) -> None:
        for _ in repeat(None, rounds):
            function()

    measure(
        seconds,
        lambda rounds: loop(os.getppid, rounds),
        lambda rounds: loop(sys.getrecursionlimit, rounds),
    )


def fork_exec(seconds: float) -> None:
    """Fork, execute the smallest program, wait for it."""
    program = shutil.which("true") or "/bin/true"

    def once() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                os.execv(program, ["true"])
            finally:
                os._exit(127)
        if os.waitpid(pid, 0)[1]:
            raise SystemExit(f"{program} can't be executed")

    measure(seconds, lambda rounds: _repeat(once, rounds), nothing)


def _repeat(once: Callable[[], object], rounds: int) -> None:
    for _ in repeat(None, rounds):
        once()


def context_switch(seconds: float) -> None:
    """Two processes on one CPU hand a byte to each other, less the cost of reads and writes."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    there, send = os.pipe()
    receive, back = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(send)
        while byte := os.read(there, 1):
            os.write(back, byte)
        os._exit(0)
    own, to_self = os.pipe()

    def pair() -> None:
        os.write(send, b"x")
        os.read(receive, 1)

    def alone() -> None:
        for _ in (1, 2):
            os.write(to_self, b"x")
            os.read(own, 1)

    measure(
        seconds,
        lambda rounds: _repeat(pair, rounds),
        lambda rounds: _repeat(alone, rounds),
        each=2,
    )
    os.close(send)
    os.waitpid(pid, 0)


def page_fault(seconds: float) -> None:
    """Touch pages that were given back to the kernel, less touching those that are there."""
    pages = 2048
    memory = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_NOHUGEPAGE)

    def touch() -> None:
        for offset in range(0, pages * PAGE, PAGE):
            memory[offset] = 1

    def fault() -> None:
        memory.madvise(mmap.MADV_DONTNEED)
        touch()

    touch()
    measure(
        seconds,
        lambda rounds: _repeat(fault, rounds),
        lambda rounds: _repeat(touch, rounds),
        each=pages,
    )


def metadata(seconds: float, directory: str) -> None:
    """Create a file, ask for its status, remove it."""
    path = f"{directory}/isolate-metadata-{os.getpid()}"

    def once() -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.stat(path)
        os.unlink(path)

    measure(seconds, lambda rounds: _repeat(once, rounds), nothing)


def write(seconds: float, directory: str, mib: int) -> None:
    """Write a file in pieces of 1 MiB, and have it on its device; an operation is a MiB."""
    data = os.urandom(MIB)

    def once(file: int) -> None:
        for number in range(mib):
            os.pwrite(file, data, number * MIB)
        os.fsync(file)

    with _File(directory) as file:
        measure(seconds, lambda rounds: _repeat(lambda: once(file), rounds), nothing, each=mib)


def read(seconds: float, directory: str, mib: int) -> None:
    """Read a file in pieces of 1 MiB, from the page cache; an operation is a MiB."""
    with _File(directory, mib) as file:

        def once() -> None:
            for number in range(mib):
                os.pread(file, MIB, number * MIB)

        measure(seconds, lambda rounds: _repeat(once, rounds), nothing, each=mib)


def random_read(seconds: float, directory: str, mib: int) -> None:
    """Read pages of a file from the page cache, each somewhere else."""
    pages = mib * MIB // PAGE
    with _File(directory, mib) as file:

        def loop(rounds: int) -> None:
            page = 1
            for _ in repeat(None, rounds):
                page = page * 1103515245 % pages  # an odd factor: all odd pages, in no order
                os.pread(file, PAGE, page * PAGE)

        measure(seconds, loop, nothing)


class _File:
    """An open file of so many MiB that has no name any more."""

    def __init__(self, directory: str, mib: int = 0) -> None:
        path = f"{directory}/isolate-io-{os.getpid()}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        for number in range(mib):
            os.pwrite(self._file, bytes(MIB), number * MIB)

    def __enter__(self) -> int:
        return self._file

    def __exit__(self, *_raised: object) -> None:
        os.close(self._file)


def request(seconds: float, host: str = "127.0.0.1", port: int = 0) -> None:
    """A byte there and back over a TCP connection; to a server of our own where `port` is 0."""
    pid, port = _serve(_echo) if not port else (0, port)
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def once() -> None:
            connection.sendall(b"x")
            connection.recv(1)

        measure(seconds, lambda rounds: _repeat(once, rounds), nothing)
    if pid:
        os.waitpid(pid, 0)


def stream(seconds: float) -> None:
    """Send pieces of 1 MiB over a TCP connection of the loopback, until each has arrived."""
    pid, port = _serve(_swallow)
    data = bytes(MIB)
    with socket.create_connection(("127.0.0.1", port)) as connection:

        def loop(rounds: int) -> None:
            for _ in repeat(None, rounds):
                connection.sendall(data)
            for _ in repeat(None, rounds):
                connection.recv(1, socket.MSG_WAITALL)

        measure(seconds, loop, nothing)
    os.waitpid(pid, 0)


def _serve(answer: Callable[[socket.socket], None]) -> tuple[int, int]:
    """A child that serves one connection; its pid and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    pid = os.fork()
    if pid == 0:
        try:
            connection, _peer = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer(connection)
        finally:
            os._exit(0)
    listener.close()
    return pid, port


def _echo(connection: socket.socket) -> None:
    while byte := connection.recv(1):
        connection.sendall(byte)


def _swallow(connection: socket.socket) -> None:
    """Answer each whole MiB with a byte."""
    left = MIB
    while piece := connection.recv(1 << 18):
        left -= len(piece)
        while left <= 0:
            connection.sendall(b"x")
            left += MIB


def main() -> None:
    """Call the function that is named, with the arguments that follow as JSON."""
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()

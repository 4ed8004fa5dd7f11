"""A detached program's streams: fifos that outlive their reader, moved to the log without loss.

The program has its fifos open for reading and writing, so it needs nobody at the other end: while
no supervisor lives it blocks once a fifo is full, and gets no SIGPIPE. The next supervisor opens
them again and goes on.

What is read must not be lost with a reader that is killed between reading and writing. So data is
spliced, in one system call, from the fifo to a spool file that begins with the size that the log
has at that moment; then it is appended to the log; then the spool is emptied. Whoever finds a
spool with data knows by the log's size whether that step had been done.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isolate.supervisor.logs import Log

STREAMS = ("stdout", "stderr")
STDIN = "stdin"
TERMINAL = "terminal"

_CHUNK = 1 << 16
_HEADER = struct.Struct("<Q")
_SPOOL_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def make_fifos(directory: str, *, interactive: bool) -> tuple[int, int, int]:
    """The descriptors that become the program's standard streams; the caller closes them."""
    stdin = _make(f"{directory}/{STDIN}") if interactive else os.open("/dev/null", os.O_RDONLY)
    return (stdin, *(_make(f"{directory}/{name}") for name in STREAMS))  # type: ignore[return-value]


def _make(path: str) -> int:
    if not os.path.exists(path):
        os.mkfifo(path, 0o600)
        # Only who has passed the 0700 directory above finds it by name; the program reopens its
        # own streams (/dev/stdout) as a user of its own.
        os.chmod(path, 0o622)  # noqa: S103 - see above
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


class FifoSource:
    """The reading end of one stream."""

    def __init__(self, directory: str, name: str, log: Log) -> None:
        self._directory = directory
        self._name = name
        self._log = log
        self.descriptor = os.open(
            f"{directory}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        self.passed = 0

    def pump(self) -> bool:
        """Move one piece to the log; whether there was any. Raises OSError (ENOSPC)."""
        spool = os.open(f"{self._directory}/spool.{self._name}", _SPOOL_FLAGS, 0o600)
        try:
            self._finish(spool)
            os.pwrite(spool, _HEADER.pack(self._log.size()), 0)
            moved = self._splice(spool)
            if moved:
                self._finish(spool)
        finally:
            os.close(spool)
        if moved:
            self._log.rotate()
        return moved > 0

    def recover(self) -> bool:
        """Finish what was begun by a killed supervisor, or before the disk was full; True.

        Raises OSError.
        """
        spool = os.open(f"{self._directory}/spool.{self._name}", _SPOOL_FLAGS, 0o600)
        try:
            self._finish(spool)
        finally:
            os.close(spool)
        return True

    def _splice(self, spool: int) -> int:
        try:
            return os.splice(
                self.descriptor,
                spool,
                _CHUNK,
                offset_dst=_HEADER.size,
                flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE,
            )
        except BlockingIOError:
            return 0

    def _finish(self, spool: int) -> None:
        """Append what the spool holds to the log, unless that has been done, and empty it."""
        data = os.pread(spool, _HEADER.size + _CHUNK, 0)
        if len(data) > _HEADER.size:
            (offset,) = _HEADER.unpack_from(data)
            if not self._log.holds_entry_at(offset):
                self._log.append(self._name, data[_HEADER.size :])
                self.passed += len(data) - _HEADER.size
        os.ftruncate(spool, 0)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


class TerminalSource:
    """The master of a program's terminal; it ends with those who hold it."""

    def __init__(self, master: int, log: Log) -> None:
        self.descriptor = master
        self.passed = 0
        self._log = log
        os.set_blocking(master, False)

    def pump(self) -> bool:
        """Move one piece to the log; whether there was any. Raises OSError (ENOSPC)."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody holds the other side
            return False
        if data:
            self._log.append("stdout", data)
            self.passed += len(data)
            self._log.rotate()
        return bool(data)

    def recover(self) -> bool:
        """Of a terminal no more than whole entries are kept; True."""
        self._log.repair()
        return True

    def close(self) -> None:
        """Close the master."""
        os.close(self.descriptor)

"""A container's log: JSON lines with stream and time, rotated by size; writing and reading it."""

from __future__ import annotations

import base64
import errno
import itertools
import json
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

LOG = "log"
DEFAULT_SIZE = 16 << 20  # bytes that a container's logs may take
SMALLEST = 64 << 10

_PAUSE = 0.05
_CHUNK = 1 << 16


class Log:
    """The log of one container, as its supervisor appends to it.

    Two files share the size that is allowed: `log`, and `log.1`, the one before. No descriptor
    stays open between calls: a supervisor of many containers has few to spare.
    """

    __slots__ = ("_half", "_path")

    def __init__(self, directory: str, size: int = DEFAULT_SIZE) -> None:
        self._path = f"{directory}/{LOG}"
        self._half = max(size, SMALLEST) // 2

    def size(self) -> int:
        """Bytes in the current file."""
        try:
            return os.stat(self._path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def append(self, stream: str, data: bytes) -> None:
        """Append one entry. Raises OSError (ENOSPC); then nothing of it stands there."""
        before = self.size()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            _write_whole(descriptor, _line(stream, data))
        except OSError:
            os.ftruncate(descriptor, before)
            raise
        finally:
            os.close(descriptor)

    def holds_entry_at(self, offset: int) -> bool:
        """Whether a whole entry was written at that offset; a torn one is removed."""
        if self.size() <= offset:
            return False
        with open(self._path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return True
            file.truncate(offset)
        return False

    def rotate(self) -> None:
        """Begin a new file where the current one has its share."""
        if self.size() > self._half:
            os.rename(self._path, f"{self._path}.1")


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(stream: str, data: bytes) -> bytes:
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    row: dict[str, str] = {"stream": stream, "time": f"{stamp}.{int(seconds % 1 * 1e6):06}Z"}
    try:
        row["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        row["base64"] = base64.b64encode(data).decode("ascii")
    return json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"


def data_of(row: dict[str, Any]) -> bytes:
    """The bytes that the program wrote."""
    if "base64" in row:
        return base64.b64decode(row["base64"])
    return str(row.get("text", "")).encode("utf-8", "surrogateescape")


def read(
    directory: str,
    *,
    follow: Callable[[], bool] = lambda: False,
    tail: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The entries, the oldest first; of those that are there only the last `tail`.

    While `follow` says so, waits for those to come. It reads once more after `follow` said no, so
    that nothing is missed.
    """
    path = f"{directory}/{LOG}"
    file = _open(path)
    if tail == 0 and file is not None:
        file.seek(0, os.SEEK_END)  # now, and not when the first entry is asked for
    before = iter(()) if tail == 0 else _whole(f"{path}.1")
    return _last(itertools.chain(before, _rows(path, file, follow)), tail)


def _last(rows: Iterator[dict[str, Any] | None], tail: int | None) -> Iterator[dict[str, Any]]:
    """The last `tail` of those before the first None, and all after it. With a tail of 0 reading
    began at the end: what comes before the first None has come since."""
    if tail:
        there: deque[dict[str, Any]] = deque(maxlen=tail)
        for row in rows:
            if row is None:
                break
            there.append(row)
        yield from there
    yield from (row for row in rows if row is not None)


def _rows(
    path: str, file: BufferedReader | None, follow: Callable[[], bool]
) -> Iterator[dict[str, Any] | None]:
    """The entries; None whenever all that is there has been read."""
    rest = b""
    while True:
        going_on = follow()
        successor = file is None or not _has_name(path, file)
        data = file.read(_CHUNK) if file is not None else b""
        *lines, rest = (rest + data).split(b"\n")
        yield from (json.loads(line) for line in lines)
        if data:
            continue
        if successor and (following := _open(path)) is not None:
            if file is not None:
                file.close()
            file, rest = following, b""
            continue
        yield None
        if not going_on:
            break
        time.sleep(_PAUSE)
    if file is not None:
        file.close()


def _open(path: str) -> BufferedReader | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return open(descriptor, "rb")


def _whole(path: str) -> Iterator[dict[str, Any]]:
    file = _open(path)
    if file is None:
        return
    with file:
        for line in file:
            yield json.loads(line)


def _has_name(path: str, file: BufferedReader) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return True  # between two files: the next look tells

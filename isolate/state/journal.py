"""A container's journal: what is about to be made for it, one JSON line each, so as to undo it."""

from __future__ import annotations

import errno
import os

from isolate.state.failures import state_error
from isolate.state.json_lines import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Nothing in the state directory is synced to disk. The page cache survives the death of any
# process, and with a crash of the host the things that the journal tells of are gone as well:
# the boot id then says so, and all that is left to remove are files.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_LARGEST = 16 << 20


class Journal:
    """An append-only file of entries, `path` in the container's directory.

    What this very object wrote it remembers, so that a container which ends where it began is
    undone without reading (and without the parser, whose import takes longer than the undoing).
    """

    __slots__ = ("_size", "_written", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._written: list[dict[str, Any]] = []
        self._size = 0  # of the file, while all that it holds is in `_written`

    @property
    def directory(self) -> str:
        """The container's directory."""
        return os.path.dirname(self.path)

    def record(self, kind: str, **data: object) -> None:
        """Append an entry; call it before the thing is made. `isolate.state.undo` has the kinds.

        Raises StateError when it can't be kept: then don't make the thing.
        """
        line = dumps({"kind": kind, **data}).encode("ascii") + b"\n"
        try:
            descriptor = os.open(self.path, _FLAGS, 0o600)
            try:
                _append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise state_error(f"can't write {self.path}", error) from None
        self._written.append({"kind": kind, **data})
        self._size += len(line)

    def entries(self) -> list[dict[str, Any]]:
        """The entries in their order, each with its `kind`; a damaged line is `{"kind": ""}`.

        A last line without its end is left out: its writer died, and made nothing of it.
        """
        if self._size and self._size == self._size_now():
            return [dict(entry) for entry in self._written]
        *lines, _torn = self._read().split(b"\n")
        return [_entry(line) for line in lines]

    def _size_now(self) -> int:
        try:
            return os.stat(self.path, follow_symlinks=False).st_size
        except OSError:
            return -1

    def _read(self) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise state_error(f"can't read {self.path}", error) from None
        with open(descriptor, "rb") as file:
            return file.read(_LARGEST)


def _append(descriptor: int, line: bytes) -> None:
    written = os.write(descriptor, line)
    if written != len(line):  # the disk is full: leave no torn line for the next one to join
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = loads(line)
    except ValueError:
        return {"kind": ""}
    if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
        return entry
    return {"kind": ""}

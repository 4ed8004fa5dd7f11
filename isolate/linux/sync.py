"""syncfs(2): what has been written to one file system is on its disk."""

from __future__ import annotations

from isolate.linux._libc import c_int, function

_syncfs = function("syncfs", c_int)


def syncfs(descriptor: int) -> None:
    """Wait until the file system that holds `descriptor` has written everything."""
    _syncfs(descriptor)

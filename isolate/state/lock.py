"""Locks that end with their holder: open file description locks (fcntl_locking(2)).

They belong to an open file, not to a process: a forked child shares them, and the kernel drops
them when the last descriptor is closed, however its process ended. Unlike flock(2) they can be
looked at without being taken, so that `ps` never makes a `create` fail.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

# Native struct flock with 64-bit offsets, as Python is built: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi0q")
_WHOLE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_FREE = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)


def take(descriptor: int) -> None:
    """Lock the file, waiting for as long as another holds it."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _WHOLE)


def drop(descriptor: int) -> None:
    """Unlock the file, for those that share the open file too."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FREE)


def try_take(descriptor: int) -> bool:
    """Lock the file; False when another holds it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_held(descriptor: int) -> bool:
    """Whether another open file holds the lock; takes nothing."""
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE)
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK

"""System V shared memory, as far as a look across namespaces needs it; shmget(2), shmctl(2)."""

from __future__ import annotations

from isolate.linux._libc import c_int, c_size_t, c_void_p, function

_IPC_CREAT_EXCL = 0o1000 | 0o2000
_IPC_RMID = 0

_shmget = function("shmget", c_int, c_size_t, c_int)
_shmctl = function("shmctl", c_int, c_int, c_void_p)


def make_segment(key: int, size: int) -> int:
    """A new segment of shared memory, mode 0600; its id. Raises FileExistsError for a used key."""
    return _shmget(key, size, _IPC_CREAT_EXCL | 0o600)


def remove_segment(number: int) -> None:
    """Remove a segment by its id."""
    _shmctl(number, _IPC_RMID, None)

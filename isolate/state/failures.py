"""OSErrors of the state directory as StateErrors, each with its remedy."""

from __future__ import annotations

import errno

from isolate.errors import StateError

_HINTS = {
    errno.ENOSPC: "the disk (or its inodes) is full: free some, or give --root another place",
    errno.EDQUOT: "your disk quota is used up: free some space, or give --root another place",
    errno.EROFS: "that filesystem is read-only: give --root DIR or ISOLATE_ROOT a writable place",
    errno.EACCES: "give --root DIR or ISOLATE_ROOT a directory of your own",
    errno.EPERM: "give --root DIR or ISOLATE_ROOT a directory of your own",
    errno.ENOTDIR: "a file or a symbolic link lies there: name a real directory",
    errno.ELOOP: "a symbolic link lies there: name the directory that it points to",
    errno.ENOENT: "a directory on the way is missing: make it, or give --root another place",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.ENFILE: "the host has too many files open",
    errno.EFBIG: "your limit on the size of files is too small: raise `ulimit -f`",
    errno.ENAMETOOLONG: "give --root DIR or ISOLATE_ROOT a shorter path",
}


def state_error(what: str, error: OSError) -> StateError:
    """The StateError for an operation, `what`, that the kernel refused."""
    return StateError(f"{what}: {error.strerror}", hint=_HINTS.get(error.errno or 0))

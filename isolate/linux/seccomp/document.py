"""Reading a profile's text from a file that anyone may have named."""

from __future__ import annotations

import errno
import os
import stat

MAX_BYTES = 2**20


def read(path: str) -> bytes:
    """The text of a profile. Raises OSError; EINVAL for what is no regular file (a fifo would
    hang us), EFBIG above MAX_BYTES."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", path)
        text = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_BYTES} bytes", path)
    return text

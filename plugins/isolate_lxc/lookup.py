"""Looking for a program as execvp(3) will, and for its directory, in the root of a container that
stands ready.

lxc-init, which gives a program its controlling terminal, doesn't tell whether it could execute it.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux import resolve
from isolate.native.failure import from_child


def require(pid: int, program: str, path: str, cwd: str) -> None:
    """Raise ExecError where the program isn't there, or isn't a file that may be executed."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        failure = errno.ENOENT
        for candidate in _candidates(program, path):
            found = _obstacle(root, os.path.join(cwd, candidate))
            if found is None:
                return
            failure = failure if found == errno.ENOENT else found
    finally:
        os.close(root)
    raise from_child("exec", failure, os.strerror(failure), program)


def require_directory(pid: int, cwd: str) -> None:
    """Raise LaunchError where the working directory isn't one inside.

    LXC enters whatever it leads to: through /proc/self/fd, by the spec's word or by a symbolic link
    of the image's, it lies on the host, for LXC's own descriptors do.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(resolve.open_in_root(root, cwd, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        number = error.errno or 0
        raise from_child("process.cwd", number, os.strerror(number), cwd) from None
    finally:
        os.close(root)


def _candidates(program: str, path: str) -> list[str]:
    if "/" in program:
        return [program]
    return [f"{directory or '.'}/{program}" for directory in path.split(":")] if program else []


def _obstacle(root: int, path: str) -> int | None:
    """The errno that stands in the way; None for a file with an execute bit."""
    try:
        descriptor = resolve.open_in_root(root, path, os.O_PATH)
    except OSError as error:
        return errno.ENOENT if error.errno == errno.ENOTDIR else error.errno
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    return None if stat.S_ISREG(mode) and mode & 0o111 else errno.EACCES

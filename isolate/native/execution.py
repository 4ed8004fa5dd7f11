"""Whether a program can be executed: looked up before a runtime starts it, and seen afterwards.

Runtimes that are driven tell of it on the program's own standard error only.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from isolate.linux import process
from isolate.linux.resolve import open_in_root
from isolate.native.child import EXEC
from isolate.native.failure import from_child

_PATIENCE = 5.0  # seconds in which a started runtime must have executed the program
_PAUSE = 0.0005


def require_directory(root: int, path: str) -> None:
    """Raise LaunchError for a working directory that isn't in the root (CVE-2024-21626)."""
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        number = error.errno or 0
        raise from_child("process.cwd", number, os.strerror(number), path) from None


def require_directory_in(pid: int, path: str) -> None:
    """As `require_directory`, in the root of a process.

    A runtime enters whatever it leads to: through /proc/self/fd, by the spec's word or by a
    symbolic link of the image's, it lies on the host, for the runtime's own descriptors do.
    """
    root = _root_of(pid)
    try:
        require_directory(root, path)
    finally:
        os.close(root)


def require_in(pid: int, program: str, *, path: str, cwd: str) -> None:
    """As `require`, in the root of a process. Raises LaunchError for the working directory."""
    root = _root_of(pid)
    try:
        require_directory(root, cwd)
        require(root, program, path=path, cwd=cwd)
    finally:
        os.close(root)


def _root_of(pid: int) -> int:
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def require(root: int, program: str, *, path: str, cwd: str) -> None:
    """Raise ExecError where execvp(3) would find no program in the root, or none to execute.

    `path` is the program's PATH, `cwd` its working directory.
    """
    failure = errno.ENOENT
    for candidate in _candidates(program, path):
        found = _errno(root, os.path.join(cwd, candidate))
        if found == 0:
            return
        if found not in (errno.ENOENT, errno.ENOTDIR):
            failure = found
    raise from_child(EXEC, failure, os.strerror(failure), program)


def _candidates(program: str, path: str) -> list[str]:
    if "/" in program:
        return [program]
    return [f"{directory or '.'}/{program}" for directory in path.split(":")] if program else []


def _errno(root: int, path: str) -> int:
    """What execve(2) would answer of the file itself; 0 where nothing speaks against it."""
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return error.errno or errno.EACCES
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            return errno.EACCES
        return _format(root, os.pread(descriptor, 256, 0))
    finally:
        os.close(descriptor)


def _format(root: int, head: bytes) -> int:
    if head.startswith(b"\x7fELF"):
        return 0
    if not head.startswith(b"#!"):
        return errno.ENOEXEC
    words = head[2:].split(b"\n")[0].split()
    try:
        os.close(open_in_root(root, words[0] if words else b"", os.O_PATH))
    except OSError:
        return errno.ENOENT
    return 0


def name_of(pid: int) -> str:
    """What a process is called, a zombie too: the file that it executed last, or its own choice."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return ""
    return text[text.find(b"(") + 1 : text.rfind(b")")].decode(errors="replace")


def await_program(pid: int, start_time: int, before: str, program: str) -> None:
    """Wait until the process that the runtime started executes the program.

    `before` is what it was called while it waited. Raises ExecError where it ended under that name.
    """
    image = _image(pid)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if name_of(pid) != before or (image is not None and _image(pid) not in (image, None)):
            return
        if not process.alive(pid, start_time):
            if name_of(pid) in (before, ""):
                raise from_child(EXEC, errno.ENOEXEC, os.strerror(errno.ENOEXEC), program)
            return
        time.sleep(_PAUSE)


def _image(pid: int) -> tuple[int, int] | None:
    try:
        found = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return found.st_dev, found.st_ino

"""Whether the program can be executed: looked up before the runtime starts, and seen afterwards."""

from __future__ import annotations

import errno
import os
import stat
import time

from isolate.linux import process
from isolate.linux.resolve import open_in_root
from isolate.native.child import EXEC
from isolate.native.failure import from_child
from isolate.spec.meaning import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.spec.model import Spec

_PATIENCE = 5.0  # seconds in which a started runtime must have executed the program
_PAUSE = 0.0005


_MADE = ("/proc", "/sys", "/dev")


def check_directory(root: int, spec: Spec) -> None:
    """Raise LaunchError for a working directory that isn't in the root.

    Runtimes make it silently. What lies on a mount isn't seen here, and is left to them.
    """
    cwd = os.path.normpath(spec.process.cwd)
    made = (*_MADE, *(os.path.normpath(mount.target) for mount in spec.mounts))
    if any(f"{cwd}/".startswith(f"{path}/") or path.startswith(f"{cwd}/") for path in made):
        return
    try:
        os.close(open_in_root(root, cwd, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        raise from_child(
            "process.cwd", error.errno or 0, os.strerror(error.errno or 0), cwd
        ) from None


def check(root: int, spec: Spec) -> None:
    """Raise ExecError where the program surely can't be executed in the root.

    A runtime would say so too, but on the program's own standard error. With mounts of the spec
    there is no telling before they are made.
    """
    if spec.mounts or not spec.process.args:
        return
    program = spec.process.args[0]
    failure = errno.ENOENT
    for path in _candidates(spec):
        found = _errno(root, path)
        if found == 0:
            return
        if found not in (errno.ENOENT, errno.ENOTDIR):
            failure = found
    raise from_child(EXEC, failure, os.strerror(failure), program)


def _candidates(spec: Spec) -> Iterator[str]:
    program = spec.process.args[0]
    if "/" in program:
        yield os.path.join(spec.process.cwd, program)
    elif program:
        for directory in spec.process.env.get("PATH", DEFAULT_PATH).split(":"):
            yield os.path.join(spec.process.cwd, directory or ".", program)


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

"""A failure that came back from the child, as one clear error with its remedy."""

from __future__ import annotations

import errno
import os

from isolate.errors import ExecError, IsolateError, LaunchError
from isolate.native.child import EXEC

_HINTS = {
    errno.EPERM: "the kernel or an outer container forbids it; see `isolate doctor`",
    errno.ENOSYS: "this kernel, or an outer container's seccomp filter, lacks the system call",
    errno.ENOSPC: "a limit on namespaces or space is reached: see /proc/sys/user/max_*_namespaces",
    errno.ENOMEM: "the memory limit may be too small for the program to start",
    errno.EACCES: "what the container's root user is outside, by the id map, may not reach it",
    errno.ENOENT: "a path that the spec names isn't there, or can't be made there",
    errno.ENOTDIR: "a path that the spec names leads through a file",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.EOVERFLOW: "an id is not in the container's user map",
}


def from_child(step: str, number: int, text: str, path: str) -> IsolateError:
    """The error of a step's failure."""
    if step == EXEC and number:
        return _not_executable(number, path)
    where = f" ({path})" if path else ""
    code = f" [{errno.errorcode[number]}]" if number in errno.errorcode else ""
    hint = _HINTS.get(number, "`isolate explain` lists the steps; `isolate doctor`, what may be")
    return LaunchError(f"step {step} failed: {text}{where}{code}", hint=hint)


def _not_executable(number: int, program: str) -> ExecError:
    if number == errno.ENOENT:
        return ExecError(
            f"{program}: not found in the container",
            found=False,
            hint="give a path inside the root, or a name on its PATH; a script's interpreter must "
            "be there too",
        )
    return ExecError(
        f"{program}: can't be executed: {os.strerror(number)}",
        found=True,
        hint="it must be a file with execute permission, in a format of this machine",
    )

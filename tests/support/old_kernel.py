"""Run a program as on an older kernel: `old_kernel.py [--release] PROGRAM ARG...`.

The system calls of Linux 5.2 to 5.12 answer ENOSYS, for it and all its children: a seccomp filter
outlives execve(2) and clone(2). With `--release`, uname(2) tells an ancient release besides
(personality(2), UNAME26), for what is decided by the release.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

import pyseccomp  # type: ignore[import-untyped] # it has no annotations file

MISSING = (
    *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("clone3", "close_range", "openat2"),
)
_UNAME26 = 0x0020000
# setns(2) of a pidfd into several namespaces is of Linux 5.8; a container has at least these two.
_USERS_AND_MOUNTS = 0x10000000 | 0x00020000


def main(argv: list[str]) -> None:
    """Load the filter, then become the program."""
    if argv[:1] == ["--release"]:
        argv = argv[1:]
        ctypes.CDLL(None).personality(_UNAME26)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    rules.set_attr(pyseccomp.Attr.CTL_NNP, os.geteuid() != 0)
    for name in MISSING:
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)
    several = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _USERS_AND_MOUNTS, _USERS_AND_MOUNTS)
    rules.add_rule(pyseccomp.ERRNO(errno.EINVAL), "setns", several)
    rules.load()
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(sys.argv[1:])

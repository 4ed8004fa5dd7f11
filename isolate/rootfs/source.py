"""From the words of a spec (`root.source`) to a root that can be mounted."""

from __future__ import annotations

import errno
import os
import stat
import sys

from isolate.errors import RootfsError
from isolate.rootfs.root import Root

_HINT = "a root is base, host, dir:PATH, tar:PATH, or a path that begins with / or ."


def prepare(source: str) -> Root:
    """Make the files of `source` ready: build, unpack, or find them in the cache.

    `source` is `base`, `host`, `dir:PATH`, `tar:PATH`, or a path that begins with `/` or `.` and
    means one of the last two. Relative paths start at the working directory. The source itself is
    never written to. Raises RootfsError; ArchiveError for a tar that is hostile or damaged.
    """
    if source == "base":
        from isolate.rootfs import base

        return base.prepare()
    if source == "host":
        executable: str | None = getattr(sys, "_base_executable", None) or sys.executable
        return Root("host", ("/",), kind="host", python=executable or None)
    word, colon, path = source.partition(":")
    if source.startswith(("/", ".")):
        return _path(source, source)
    if not colon or word not in ("dir", "tar"):
        raise RootfsError(f"{source!r} is not a root", hint=_HINT)
    return _path(path, source, word)


def _path(path: str, source: str, word: str = "") -> Root:
    if not path:
        raise RootfsError(f"{source!r} names no path", hint=_HINT)
    mode = _mode(path, source)
    if stat.S_ISDIR(mode) and word != "tar":
        return _directory(path)
    if stat.S_ISREG(mode) and word != "dir":
        from isolate.rootfs import tar

        return tar.prepare(os.path.abspath(path))
    wanted = {"dir": "a directory", "tar": "a regular file"}.get(word, "a directory or a tar file")
    raise RootfsError(f"{path} is not {wanted}", hint=_other_word(mode, path))


def _mode(path: str, source: str) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError as error:
        raise RootfsError(f"{source!r} is not a path: {error}", hint=_HINT) from error
    except OSError as error:
        hint = "give a path that exists"
        if error.errno == errno.EACCES:
            hint = "every directory on the way must be searchable for you"
        elif not os.path.isabs(path):
            hint = f"relative paths start at the working directory, {os.getcwd()}"
        raise RootfsError(f"the root {path}: {error.strerror}", hint=hint) from error


def _other_word(mode: int, path: str) -> str:
    if stat.S_ISDIR(mode):
        return f"for a directory say dir:{path}"
    if stat.S_ISREG(mode):
        return f"for an archive say tar:{path}"
    return _HINT


def _directory(path: str) -> Root:
    real = os.path.realpath(path)
    if not os.access(real, os.X_OK):
        raise RootfsError(
            f"the root {real} can't be entered", hint="its directory needs the x bit for you"
        )
    return Root(f"dir:{os.path.abspath(path)}", (real,))

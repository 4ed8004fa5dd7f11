"""`base`, a small root of this host's own programs: the way to one that is cached already."""

from __future__ import annotations

import marshal
import os
import sys

from isolate.rootfs import cache
from isolate.rootfs.root import Root

FORMAT = 1  # of base's content and its index; a change makes every cached base old


def prepare() -> Root:
    """The cached base, if its programs are as they were on the host; a new one otherwise.

    Raises RootfsError.
    """
    directory = cache.directory()
    cached = lookup(directory, index_path(directory))
    if cached is None:
        from isolate.rootfs import base_build

        cached = base_build.build(directory)
    key, python = cached
    return Root("base", (cache.layer(directory, "base", key),), python=python, cached=True)


def index_path(directory: str) -> str:
    """The index of the Python that runs: each has a base of its own."""
    prefix = os.stat(sys.base_prefix)
    name = f"{prefix.st_dev:x}-{prefix.st_ino:x}-{sys.hexversion:x}.index"
    return f"{directory}/base/{name}"


def lookup(directory: str, index: str) -> tuple[str, str | None] | None:
    """The key and the Python of a base that is whole and still right; None if there is none."""
    try:
        with open(index, "rb", buffering=0) as file:
            form, key, python, watched = marshal.loads(file.read())  # noqa: S302 - our own file
        if form != FORMAT:
            return None
        for path, *known in watched:
            if identity(path) != known:
                return None
        os.stat(cache.layer(directory, "base", key))
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return key, python


def identity(path: str) -> list[int]:
    """What changes when the file at `path` is changed or replaced. Raises OSError."""
    found = os.stat(path)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]

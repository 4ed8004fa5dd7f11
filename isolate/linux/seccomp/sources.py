"""The files that compiled filters are made from, and their identities.

Those of this package are taken when it is imported, before default.py and profile.py are: a
process that runs for weeks goes on with the code that it has read, whatever is installed since.
"""

from __future__ import annotations

import os

_NAMES = "arches bpf cache compile default numbers policy profile sources".split()
_FOLDER = os.path.dirname(__file__)


def identity(path: str) -> str | None:
    """What changes when the file does; None for no file."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return f"{about.st_dev} {about.st_ino} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"


_OWN = {path: identity(path) for path in (f"{_FOLDER}/{name}.py" for name in _NAMES)}


def identities(others: list[str]) -> list[tuple[str, str]] | None:
    """Paths and identities of this package's files and others; None where one isn't a file."""
    found: list[tuple[str, str]] = []
    for path, mark in (*_OWN.items(), *((path, identity(path)) for path in others)):
        if mark is None or "\0" in path:
            return None
        found.append((path, mark))
    return found


def mapped(name: str) -> list[str]:
    """The paths of this process's libraries whose path has `name` in it.

    A file that was replaced since has " (deleted)" behind its path, and so is no file.
    """
    try:
        with open("/proc/self/maps", errors="surrogateescape") as maps:
            lines = [line.split(maxsplit=5) for line in maps if name in line]
    except OSError:
        return []
    return sorted({line[5].rstrip("\n") for line in lines if len(line) == 6})

"""The programs of the host that backends drive."""

from __future__ import annotations

import os

_USUAL = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def which(program: str) -> str | None:
    """The absolute path of a program that can be executed, by PATH and the usual directories,
    which an environment without PATH has too."""
    if "/" in program:
        found = os.path.abspath(program)
        return found if os.path.isfile(found) and os.access(found, os.X_OK) else None
    for directory in f"{os.environ.get('PATH', '')}:{_USUAL}".split(":"):
        found = f"{directory}/{program}"
        if directory.startswith("/") and os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    return None

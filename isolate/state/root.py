"""The state directory: where it lies, that it is ours alone, and its layout."""

from __future__ import annotations

import os
import stat

from isolate.errors import StateError
from isolate.state.failures import state_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "ISOLATE_ROOT"

# What lies in it. Containers have a directory of their own, so that no id clashes with the rest.
CONTAINERS = "containers"
RANGES = "ranges"
TRASH = "trash"
LOCK = "lock"

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def find(argument: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The absolute path of the state directory; makes nothing.

    `argument` (of `--root`) beats $ISOLATE_ROOT; then /run/isolate for root,
    $XDG_RUNTIME_DIR/isolate for others, /tmp/isolate-UID where that is unset or relative (as
    the XDG base directory specification wants relative values treated). Raises StateError.
    """
    chosen = argument if argument is not None else environ.get(VARIABLE) or None
    if chosen is not None:
        if not chosen or "\0" in chosen:
            raise StateError(
                "the state directory's name is empty or holds a NUL byte",
                hint="give --root DIR or ISOLATE_ROOT a directory of your own",
            )
        return os.path.abspath(chosen)
    if os.geteuid() == 0:
        return "/run/isolate"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return os.path.join(os.path.normpath(runtime), "isolate")
    # In /tmp anyone may have been first: `check` is what makes this safe.
    return f"/tmp/isolate-{os.geteuid()}"  # noqa: S108 - owner, mode and kind are checked


def check(path: str) -> None:
    """Refuse a directory that another user could have filled. Raises StateError.

    Its records name processes to kill and files to delete, so whoever writes here commands us.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise state_error(f"can't use the state directory {path}", error) from None
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_uid != os.geteuid():
        raise StateError(
            f"the state directory {path} belongs to user {status.st_uid}, not to you",
            hint="give --root DIR or ISOLATE_ROOT a directory of your own",
        )
    if status.st_mode & _OTHERS_WRITE:
        raise StateError(
            f"others may write to the state directory {path}",
            hint=f"if nobody has put anything there: chmod 700 {path}",
        )


def prepare(path: str) -> None:
    """Make the directory (0700) and its layout where they are missing. Raises StateError."""
    for directory in (path, *(f"{path}/{name}" for name in (CONTAINERS, RANGES, TRASH))):
        _make(directory)
        check(directory)


def _make(path: str) -> None:
    try:
        os.makedirs(path, 0o700)
    except FileExistsError:
        return  # whatever it is, `check` looks
    except OSError as error:
        raise state_error(f"can't make the state directory {path}", error) from None

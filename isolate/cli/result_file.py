"""The file of `--result-json`: checked before anything is made, written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import sys

from isolate.errors import IsolateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.runtime.result import Result

STDERR = "-"


def check(path: str) -> None:
    """Raises IsolateError where the file could not be written; leaves nothing."""
    if path == STDERR:
        return
    try:
        if _is_replaced(path):
            temporary, descriptor = _open_beside(path)
            os.close(descriptor)
            os.unlink(temporary)
        elif not os.access(path, os.W_OK):
            raise PermissionError(0, "it may not be written to")
    except OSError as error:
        raise _refused(
            path, error, "nothing was run; name a file in a directory of yours"
        ) from None


def write(result: Result, path: str) -> None:
    """Write the result; `-` is standard error. Raises IsolateError."""
    text = json.dumps(result.to_json(), indent=2) + "\n"
    if path == STDERR:
        sys.stderr.write(text)
        return
    try:
        if not _is_replaced(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return
        temporary, descriptor = _open_beside(path)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, os.path.realpath(path))
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        hint = f"the program ended with status {result.exit_status}"
        raise _refused(path, error, hint) from error


def _is_replaced(path: str) -> bool:
    """Whether it is, or will be, an ordinary file: a device or pipe is written to as it is."""
    if not path:
        raise FileNotFoundError(0, "no name is given")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(0, "it is a directory")
    return stat.S_ISREG(mode)


def _open_beside(path: str) -> tuple[str, int]:
    """A new file in the directory of that name, behind links to it."""
    temporary = f"{os.path.realpath(path)}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return temporary, os.open(temporary, flags, 0o666)


def _refused(path: str, error: OSError, hint: str) -> IsolateError:
    return IsolateError(f"the result can't be written to {path}: {error.strerror}", hint=hint)

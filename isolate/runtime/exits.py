"""How a detached container ended, kept in its directory until it is started again or deleted."""

from __future__ import annotations

import errno
import os

from isolate.state.failures import state_error
from isolate.state.json_lines import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NAME = "exit.json"
_LARGEST = 1 << 20


def write(directory: str, result: Mapping[str, object]) -> None:
    """Keep the result, whole or not at all. Raises StateError."""
    path = f"{directory}/{_NAME}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    text = dumps(result).encode("ascii") + b"\n"
    try:
        descriptor = os.open(f"{path}.new", flags, 0o600)
        with open(descriptor, "wb", buffering=0) as file:
            _write_whole(file.fileno(), text)
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise state_error(f"can't write {path}", error) from None


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read(directory: str) -> dict[str, Any] | None:
    """The result; None while there is none."""
    try:
        descriptor = os.open(f"{directory}/{_NAME}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        text = file.read(_LARGEST)
    try:
        found = loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def remove(directory: str) -> None:
    """Forget the result: the container is about to run again."""
    try:
        os.unlink(f"{directory}/{_NAME}")
    except FileNotFoundError:
        return


def shell_code(result: Mapping[str, Any]) -> int | None:
    """The exit code as a shell gives it; None where nobody knows how the program ended."""
    if result.get("timed_out"):
        return 124
    if result.get("signal") is not None:
        return 128 + int(result["signal"])
    code = result.get("exit_code")
    return None if code is None else int(code)

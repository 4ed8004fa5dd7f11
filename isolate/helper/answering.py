"""How every process that the helper forks ends: with an answer, a result or what went wrong."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from isolate.errors import IsolateError
from isolate.helper import protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


def answer_and_end(
    reply: socket.socket, action: Callable[[], dict[str, Any]], descriptors: Sequence[int]
) -> NoReturn:
    """Send what `action` returns or raises, once `descriptors` are closed, and end."""
    said = outcome(action)
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        protocol.send(reply, said)
    except OSError:
        os._exit(1)  # the program is gone: there is nobody to tell
    os._exit(0)


def outcome(action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `action` returns or raises, as a message."""
    try:
        return {"result": action()}
    except IsolateError as error:
        return {
            "error": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_status": error.exit_status,
        }
    except BaseException:  # noqa: BLE001 - a bug must reach the program, not end in silence
        return {"bug": traceback.format_exc()}

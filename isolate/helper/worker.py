"""A worker: runs containers for a program, one after the other, and tells it how each ended."""

from __future__ import annotations

import gc
import os
import socket
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from isolate.errors import IsolateError
from isolate.helper import protocol
from isolate.plugins import load
from isolate.runtime.run import run
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from isolate.runtime.result import Result


def stay(helper: socket.socket) -> NoReturn:
    """Serve one request after the other until the helper closes its end, or is gone."""
    gc.disable()  # what a launch leaves is collected when nobody waits for it
    while (message := protocol.receive(helper)) is not None:
        if not _work(*message):
            break
        gc.collect()
        try:
            helper.send(b"i", socket.MSG_NOSIGNAL)
        except OSError:
            break
    os._exit(0)


def _work(document: dict[str, Any], descriptors: list[int]) -> bool:
    """Do what the request says; whether this process may go on: not after a bug, nor for a program
    that is gone. `descriptors`: the reply socket, then the program's 0, 1 and 2."""
    answer, stdin, stdout, stderr = descriptors
    sound = True
    reply = socket.socket(fileno=answer)
    try:
        result = _run(document, (stdin, stdout, stderr), reply.fileno())
        said: dict[str, Any] = {"result": result.to_json()}
    except IsolateError as error:
        said = {
            "error": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_status": error.exit_status,
        }
    except BaseException:  # noqa: BLE001 - a bug must reach the program, not end in silence
        said = {"bug": traceback.format_exc()}
        sound = False
    for descriptor in (stdin, stdout, stderr):
        os.close(descriptor)
    try:
        protocol.send(reply, said)
    except OSError:
        sound = False  # the program is gone: there is nobody to tell
    reply.close()
    return sound


def _run(document: dict[str, Any], stdio: tuple[int, int, int], cancel_fd: int) -> Result:
    return run(
        load(document["backend"]),
        Spec.build(document["spec"], ""),
        open_store(document["root"]),
        id=document["id"],
        stdio=stdio,
        cancel_fd=cancel_fd,
    )

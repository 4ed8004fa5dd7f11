"""A worker: runs containers for a program, one at a time, or keeps one; and tells how it ended."""

from __future__ import annotations

import gc
import os
import socket
from typing import TYPE_CHECKING, Any, NoReturn

from isolate.helper import protocol
from isolate.helper.answering import answer_and_end, outcome
from isolate.helper.keeper import Keeper
from isolate.plugins import load
from isolate.runtime.run import run
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Callable


def stay(helper: socket.socket) -> NoReturn:
    """Serve one request after the other until the helper closes its end, or is gone."""
    gc.disable()  # what a launch leaves is collected when nobody waits for it
    while (message := protocol.receive(helper)) is not None:
        if not _serve(*message):
            break
        gc.collect()
        try:
            helper.send(b"i", socket.MSG_NOSIGNAL)
        except OSError:
            break
    os._exit(0)


def _serve(document: dict[str, Any], descriptors: list[int]) -> bool:
    """Do what the request says; whether this process may go on: not after a bug, nor for a program
    that is gone. `descriptors`: the reply socket, then those of the request."""
    reply = socket.socket(fileno=descriptors.pop(0))
    if document["kind"] == "sandbox":
        gc.enable()  # it stays
        answer_and_end(reply, lambda: _keep(document, descriptors, reply), descriptors)
    said = outcome(_running(document, descriptors, reply))
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        protocol.send(reply, said)
    except OSError:
        return False  # the program is gone: there is nobody to tell
    finally:
        reply.close()
    return "bug" not in said


def _keep(document: dict[str, Any], descriptors: list[int], reply: socket.socket) -> dict[str, Any]:
    backend, store = load(document["backend"]), open_store(document["root"])
    owner, requests = descriptors
    descriptors.remove(requests)  # the keeper's to close
    spec = Spec.build(document["spec"], "")
    return Keeper(backend, spec, store, document["id"], reply).keep(owner, requests)


def _running(
    document: dict[str, Any], descriptors: list[int], reply: socket.socket
) -> Callable[[], dict[str, Any]]:
    """One program from its beginning to its end."""
    stdin, stdout, stderr = descriptors

    def act() -> dict[str, Any]:
        return run(
            load(document["backend"]),
            Spec.build(document["spec"], ""),
            open_store(document["root"]),
            id=document["id"],
            stdio=(stdin, stdout, stderr),
            cancel_fd=reply.fileno(),
        ).to_json()

    return act

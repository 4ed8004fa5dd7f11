"""A worker: runs one container for a program, and tells it how that ended."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

from isolate.helper.answering import answer_and_end
from isolate.helper.keeper import Keeper
from isolate.plugins import load
from isolate.runtime.run import run
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec


def work(document: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Do what the request says. `descriptors`: the reply socket, then those of the request."""
    reply = socket.socket(fileno=descriptors.pop(0))
    answer_and_end(reply, lambda: _work(document, descriptors, reply), descriptors)


def _work(document: dict[str, Any], descriptors: list[int], reply: socket.socket) -> dict[str, Any]:
    backend, store = load(document["backend"]), open_store(document["root"])
    spec = Spec.build(document["spec"], "")
    if document["kind"] == "sandbox":
        owner, requests = descriptors
        descriptors.remove(requests)  # the keeper's to close
        return Keeper(backend, spec, store, document["id"], reply).keep(owner, requests)
    stdin, stdout, stderr = descriptors
    result = run(
        backend,
        spec,
        store,
        id=document["id"],
        stdio=(stdin, stdout, stderr),
        cancel_fd=reply.fileno(),
    )
    return result.to_json()

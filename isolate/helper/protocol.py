"""Messages between a program, its helper and the workers: JSON, with descriptors beside it.

The text travels in a memfd, because a packet's size is limited and a spec's is not.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

_MOST_DESCRIPTORS = 16
_LARGEST = 64 << 20


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair, both ends close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, document: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send a message. Raises OSError (BrokenPipeError when the peer is gone)."""
    text = os.memfd_create("isolate-message", os.MFD_CLOEXEC)
    try:
        with open(text, "wb", closefd=False) as file:
            file.write(json.dumps(document).encode())
        socket.send_fds(end, [b"m"], [text, *descriptors], socket.MSG_NOSIGNAL)
    finally:
        os.close(text)


def receive(end: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, which are the caller's; None when the peer is gone."""
    try:
        data, received, _flags, _address = socket.recv_fds(end, 1, _MOST_DESCRIPTORS)
    except ConnectionResetError:
        return None
    if not data or not received:
        return None
    for descriptor in received:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    text, *descriptors = received
    try:
        document: dict[str, Any] = json.loads(os.pread(text, _LARGEST, 0))
    finally:
        os.close(text)
    return document, descriptors

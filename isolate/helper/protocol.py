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
        send_parcel(end, [text, *descriptors])
    finally:
        os.close(text)


def receive(end: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, which are the caller's; None when the peer is gone."""
    parcel = receive_parcel(end)
    if parcel is None:
        return None
    text, *descriptors = parcel
    try:
        return read(text), descriptors
    finally:
        os.close(text)


def receive_parcel(end: socket.socket) -> list[int] | None:
    """The next message unopened: the descriptors of its text and of what came beside it."""
    try:
        data, parcel, _flags, _address = socket.recv_fds(end, 1, _MOST_DESCRIPTORS)
    except ConnectionResetError:
        return None
    for descriptor in parcel:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    return parcel if data and parcel else None


def send_parcel(end: socket.socket, parcel: list[int]) -> None:
    """Pass a message on unopened. Raises OSError (BrokenPipeError when the peer is gone)."""
    socket.send_fds(end, [b"m"], parcel, socket.MSG_NOSIGNAL)


def read(text: int) -> dict[str, Any]:
    """The document of a message's text."""
    document: dict[str, Any] = json.loads(os.pread(text, _LARGEST, 0))
    return document

"""Messages between clients and the supervisor: JSON over SOCK_SEQPACKET, one request, one reply."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from isolate import errors
from isolate.errors import IsolateError, StateError
from isolate.linux.process import wait_pidfd

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET = "supervisor.sock"
LOCK = "supervisor.lock"
LOG = "supervisor.log"

_INLINE = 64 << 10  # bytes; what is larger travels in a memfd
_LARGEST = 64 << 20
_MOST_DESCRIPTORS = 4
_SO_PEERPIDFD = 77  # asm-generic/socket.h
_ELSEWHERE = b"*"  # the message is in the first descriptor


class Gone(Exception):  # noqa: N818 - a state of the peer
    """The peer closed the connection."""


def send(peer: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message with descriptors. Raises Gone."""
    data = json.dumps(message).encode("ascii")
    fds = list(descriptors)
    carrier = -1
    if len(data) > _INLINE:
        carrier = _in_memory(data)
        data, fds = _ELSEWHERE, [carrier, *fds]
    try:
        socket.send_fds(peer, [data], fds, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        raise Gone from None
    finally:
        if carrier >= 0:
            os.close(carrier)


def receive(peer: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message, and the descriptors that came with it, close-on-exec.

    Raises Gone, and ValueError for what is no message.
    """
    try:
        data, fds, _flags, _address = socket.recv_fds(
            peer, _INLINE + 1, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        raise Gone from None
    if not data:
        raise Gone
    if data == _ELSEWHERE and fds:
        carrier = fds.pop(0)
        with open(carrier, "rb") as file:
            file.seek(0)
            data = file.read(_LARGEST)
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")  # noqa: TRY004 - as for any other bad JSON
    return message, fds


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("isolate-message", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor


def peer_uid(peer: socket.socket) -> int:
    """The user of the process that connected, or that listens (SO_PEERCRED, unix(7))."""
    return _credentials(peer)[1]


def is_own(peer: socket.socket) -> bool:
    """Whether the process that connected is ours, and outside of all containers.

    The same user is not enough: an ordinary user's container has that user's id outside, and may
    see the socket's file. A container has a user or a pid namespace of its own.
    """
    pid, uid = _credentials(peer)
    if uid != os.geteuid():
        return False
    pidfd = _peer_pidfd(peer)
    try:
        return _shares_namespaces(pid) and (pidfd < 0 or not wait_pidfd(pidfd, 0))
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _credentials(peer: socket.socket) -> tuple[int, int]:
    size = struct.calcsize("3i")
    pid, uid, _gid = struct.unpack(
        "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return pid, uid


def _peer_pidfd(peer: socket.socket) -> int:
    """Pins the peer's pid, so that it isn't a later process that is looked at; -1 before 6.5."""
    try:
        return peer.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        return -1


def _shares_namespaces(pid: int) -> bool:
    try:
        return all(
            os.path.samestat(os.stat(f"/proc/{pid}/ns/{name}"), os.stat(f"/proc/self/ns/{name}"))
            for name in ("user", "pid")
        )
    except OSError:
        return False


def error_message(error: IsolateError) -> dict[str, Any]:
    """A failure as a reply."""
    return {
        "error": {
            "kind": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_status": error.exit_status,
        }
    }


def raise_error(reply: dict[str, Any]) -> None:
    """Raise the failure that a reply carries, if it carries one."""
    told = reply.get("error")
    if told is None:
        return
    found = getattr(errors, str(told.get("kind")), None)
    kind: type[IsolateError] = StateError
    if isinstance(found, type) and issubclass(found, IsolateError):
        kind = found
    error = kind.__new__(kind)
    IsolateError.__init__(error, str(told.get("message")), hint=told.get("hint"))
    error.exit_status = int(told.get("exit_status", error.exit_status))
    raise error


def address(root: str) -> tuple[str, int]:
    """A short name for the socket below `root`, and the descriptor that it lives by.

    A socket's path has at most 107 bytes; a state directory may be deeper.
    """
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{descriptor}/{SOCKET}", descriptor

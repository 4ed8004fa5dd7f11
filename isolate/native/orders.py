"""Programs that are handed to a container's waiting first process: the order, and its answer.

An order comes from our own side. An answer comes out of the container: so it is a fixed structure
that can say nothing but how a program ended, and is never unmarshalled.
"""

from __future__ import annotations

import _socket
import marshal
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENDED = b"e"  # with the status of wait(2)
NO_PROGRAM = b"p"  # with the errno of execve(2)
NO_DIRECTORY = b"d"  # with the errno of chdir(2)

_ANSWER = struct.Struct("=ci")
_INLINE = 65536  # bytes of an order that travel in the packet; above it, in a memfd
_STREAMS = 4  # descriptors of every order: the answer's socket, then 0, 1 and 2


class Order:
    """A program to execute; `descriptors` are the answer's socket, then its 0, 1 and 2."""

    __slots__ = ("args", "cwd", "descriptors", "env")

    def __init__(
        self,
        args: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        descriptors: Sequence[int],
    ) -> None:
        self.args = args
        self.env = env
        self.cwd = cwd
        self.descriptors = descriptors


def socket_pair() -> tuple[_socket.socket, _socket.socket]:
    """A connected pair for packets, both ends close-on-exec."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def send_order(end: _socket.socket, order: Order) -> None:
    """Send an order. Raises OSError (BrokenPipeError where nobody takes orders any more)."""
    data = marshal.dumps((tuple(order.args), dict(order.env), order.cwd))
    if len(data) <= _INLINE:
        _send(end, data, order.descriptors)
        return
    memory = os.memfd_create("isolate-order", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(data)
        _send(end, b"m", (*order.descriptors, memory))
    finally:
        os.close(memory)


def _send(end: _socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    rights = struct.pack(f"{len(descriptors)}i", *descriptors)
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
    end.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)


def receive_order(end: _socket.socket) -> Order | None:
    """The next order, whose descriptors are the caller's; None when nobody gives any more."""
    space = _socket.CMSG_SPACE(4 * (_STREAMS + 1))
    data, ancillary, _flags, _address = end.recvmsg(_INLINE, space, _socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    descriptors = [number for _level, _kind, rights in ancillary for number in _numbers(rights)]
    if len(descriptors) > _STREAMS:
        with open(descriptors.pop(), "rb") as file:
            file.seek(0)
            data = file.read()
    args, env, cwd = marshal.loads(data)  # noqa: S302 - orders come from outside the container
    return Order(args, env, cwd, descriptors)


def _numbers(rights: bytes) -> tuple[int, ...]:
    return struct.unpack(f"{len(rights) // 4}i", rights)


def send_answer(descriptor: int, kind: bytes, number: int) -> None:
    """Say how it went; a peer that is gone is not an error."""
    peer = _socket.socket(fileno=os.dup(descriptor))
    try:
        peer.send(_ANSWER.pack(kind, number), _socket.MSG_NOSIGNAL)
    except OSError:
        return
    finally:
        peer.close()


def receive_answer(end: _socket.socket) -> tuple[bytes, int] | None:
    """Kind and number; None where the container is gone, or what came is no answer."""
    try:
        data = end.recv(_ANSWER.size + 1)
    except ConnectionResetError:
        return None
    if len(data) != _ANSWER.size:
        return None
    kind, number = _ANSWER.unpack(data)
    return (kind, number) if kind in {ENDED, NO_PROGRAM, NO_DIRECTORY} else None

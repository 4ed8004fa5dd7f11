"""The channel between a launcher and the container's first process: small messages as data."""

from __future__ import annotations

import _socket  # the C half of socket, which imports enum and selectors on top
import marshal
import select
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST = 65536


class Channel:
    """One end of a SOCK_SEQPACKET pair. Messages are tuples; a closed peer reads as None.

    The child's end is close-on-exec, so that a successful execve(2) reads as None too.
    """

    __slots__ = ("_socket",)

    def __init__(self, end: _socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        return self._socket.fileno()

    def send(self, *message: str | int, descriptor: int | None = None) -> None:
        """Send a message, and a descriptor with it. A peer that is gone is not an error here."""
        ancillary = []
        if descriptor is not None:
            ancillary.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor)))
        try:
            self._socket.sendmsg([marshal.dumps(message)], ancillary, _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> tuple[Any, ...] | None:
        """The next message; a descriptor sent along stands at its end."""
        space = _socket.CMSG_SPACE(4)
        try:
            data, ancillary, _flags, _address = self._socket.recvmsg(
                _LARGEST, space, _socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        if not data:
            return None
        message: tuple[Any, ...] = marshal.loads(data)  # noqa: S302 - both ends are this program
        for _level, _kind, payload in ancillary:
            message += struct.unpack("i", payload)
        return message

    def is_closed(self) -> bool:
        """Whether the peer is gone."""
        poll = select.poll()
        poll.register(self.fileno(), 0)  # POLLHUP is always reported
        return bool(poll.poll(0))

    def is_readable(self, patience: float = 0) -> bool:
        """Whether `receive` would return at once; waits for that so many seconds."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(patience * 1000))

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def pair() -> tuple[Channel, Channel]:
    """A connected pair, both close-on-exec."""
    flags = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    one, other = _socket.socketpair(_socket.AF_UNIX, flags)
    return Channel(one), Channel(other)

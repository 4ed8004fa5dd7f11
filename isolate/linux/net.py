"""Network interfaces by ioctl: what a launch needs without a netlink library."""

from __future__ import annotations

import fcntl
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
else:
    import _socket  # the C half of socket, which imports enum and selectors on top

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = "16sH22x"


def set_up(interface: str) -> None:
    """Set an interface up; netdevice(7)."""
    with _Datagram() as descriptor:
        request = struct.pack(_IFREQ, interface.encode(), 0)
        answer = fcntl.ioctl(descriptor, _SIOCGIFFLAGS, request)
        name, flags = struct.unpack(_IFREQ, answer)
        fcntl.ioctl(descriptor, _SIOCSIFFLAGS, struct.pack(_IFREQ, name, flags | _IFF_UP))


class _Datagram:
    """A socket that exists only to carry an ioctl; `_socket.socket` is no context manager."""

    def __enter__(self) -> int:
        self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
        return self._socket.fileno()

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

"""Addresses and the place of network links by raw rtnetlink(7), with what is cheap to import."""

from __future__ import annotations

import _socket
import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 16, 20, 21, 22
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE, _NLM_F_DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NETLINK_ROUTE = 0
_IFA_ADDRESS, _IFA_LOCAL, _IFA_PROTO = 1, 2, 11
_IFA_F_NODAD = 0x2
_IFLA_NET_NS_PID = 19

PROTOCOL = 0x69  # of addresses that are isolate's; the kernel's own are 1 to 3


def add_address(interface: str, packed: bytes, prefix: int) -> None:
    """Give an interface of this network namespace an address, as inet_pton(3) packs it.

    Raises OSError; that it is there already is no error.
    """
    try:
        _request(_RTM_NEWADDR, _body(interface, packed, prefix), _NLM_F_CREATE)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def add_own_address(interface: str, packed: bytes, prefix: int) -> None:
    """The same with the mark of isolate, by which it can be taken back (Linux 5.18).

    Raises OSError: EEXIST where it is there already, EOPNOTSUPP where the kernel keeps no mark.
    """
    body = _body(interface, packed, prefix) + _attribute(_IFA_PROTO, bytes([PROTOCOL]))
    _request(_RTM_NEWADDR, body, _NLM_F_CREATE | _NLM_F_EXCL)
    if address_protocol(interface, packed) != PROTOCOL:
        _request(_RTM_DELADDR, _body(interface, packed, prefix), 0)
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), interface)


def delete_own_address(interface: str, packed: bytes) -> None:
    """Take back an address that bears the mark; nothing happens where there is none such.

    Raises OSError.
    """
    try:
        found = [row for row in _addresses(interface, packed) if row[1] == PROTOCOL]
        for prefix, _protocol in found:
            _request(_RTM_DELADDR, _body(interface, packed, prefix), 0)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL):
            raise


def address_protocol(interface: str, packed: bytes) -> int | None:
    """Who gave an interface that address (IFA_PROTO), 0 where nobody says; None where it hasn't it.

    Raises OSError.
    """
    return next((protocol for _prefix, protocol in _addresses(interface, packed)), None)


def remove_address(interface: str, packed: bytes, prefix: int) -> None:
    """Take an address away from an interface. Raises OSError, also where it isn't there."""
    _request(_RTM_DELADDR, _body(interface, packed, prefix), 0)


def move_link(interface: str, pid: int) -> None:
    """Move an interface into the network namespace of a process. Raises OSError.

    When that namespace ends, a NIC comes back to the first one, a virtual interface is gone.
    """
    index = _index(interface)
    body = struct.pack("=BxHiII", _socket.AF_UNSPEC, 0, index, 0, 0)
    _request(_RTM_NEWLINK, body + _attribute(_IFLA_NET_NS_PID, struct.pack("=I", pid)), 0)


def _index(interface: str) -> int:
    try:
        return _socket.if_nametoindex(interface)
    except OSError:  # without a number of its own
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), interface) from None


def _family(packed: bytes) -> int:
    return _socket.AF_INET if len(packed) == 4 else _socket.AF_INET6


def _body(interface: str, packed: bytes, prefix: int) -> bytes:
    """Struct ifaddrmsg and the address; without duplicate address detection it can be used at
    once."""
    family = _family(packed)
    index = _index(interface)
    flags = _IFA_F_NODAD if family != _socket.AF_INET else 0
    body = struct.pack("=BBBBI", family, prefix, flags, 0, index)
    return body + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)


def _addresses(interface: str, packed: bytes) -> Iterator[tuple[int, int]]:
    """Prefix length and protocol of each time that an interface has an address."""
    index = _index(interface)
    asked = struct.pack("=BBBBI", _family(packed), 0, 0, 0, 0)
    for body in _dump(_RTM_GETADDR, asked):
        _kind, prefix, _flags, _scope, found = struct.unpack_from("=BBBBI", body)
        attributes = dict(_attributes(body[8:]))
        local = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
        if found == index and local == packed:
            yield prefix, attributes.get(_IFA_PROTO, b"\0")[0]


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[max(4, length + 3 & ~3) :]


def _open() -> _socket.socket:
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_NETLINK, kind, _NETLINK_ROUTE)


def _message(kind: int, body: bytes, flags: int) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags | _NLM_F_REQUEST, 1, 0) + body


def _request(kind: int, body: bytes, flags: int) -> None:
    made = _open()
    try:
        made.send(_message(kind, body, flags | _NLM_F_ACK))
        answer = made.recv(8192)
    finally:
        made.close()
    answered, code = struct.unpack_from("=4xH10xi", answer)
    if answered != _NLMSG_ERROR:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    if code:
        raise OSError(-code, os.strerror(-code))


def _dump(kind: int, body: bytes) -> Iterator[bytes]:
    """The bodies of the answers to a dump request."""
    made = _open()
    try:
        made.send(_message(kind, body, _NLM_F_DUMP))
        while True:
            data = made.recv(1 << 16)
            while len(data) >= 16:
                length, answered = struct.unpack_from("=IH", data)
                if answered == _NLMSG_DONE:
                    return
                if answered == _NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, 16)
                    raise OSError(-code, os.strerror(-code))
                yield data[16:length]
                data = data[length + 3 & ~3 :]
    finally:
        made.close()

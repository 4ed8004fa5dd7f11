"""Addresses and the place of network links by raw rtnetlink(7), with what is cheap to import."""

from __future__ import annotations

import _socket
import errno
import os
import struct

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_DELADDR = 16, 20, 21
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 0x1, 0x4, 0x400
_NLMSG_ERROR = 2
_NETLINK_ROUTE = 0
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x2
_IFLA_NET_NS_PID = 19


def add_address(interface: str, packed: bytes, prefix: int) -> None:
    """Give an interface of this network namespace an address, as inet_pton(3) packs it.

    Raises OSError; that it is there already is no error.
    """
    try:
        _request(_RTM_NEWADDR, _address(interface, packed, prefix), _NLM_F_CREATE)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def remove_address(interface: str, packed: bytes, prefix: int) -> None:
    """Take an address away from an interface. Raises OSError, also where it isn't there."""
    _request(_RTM_DELADDR, _address(interface, packed, prefix), 0)


def _address(interface: str, packed: bytes, prefix: int) -> bytes:
    """The message of it, a struct ifaddrmsg; without duplicate address detection it can be used at
    once."""
    family = _socket.AF_INET if len(packed) == 4 else _socket.AF_INET6
    index = _socket.if_nametoindex(interface)
    body = struct.pack(
        "=BBBBI", family, prefix, _IFA_F_NODAD if family != _socket.AF_INET else 0, 0, index
    )
    return body + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)


def move_link(interface: str, pid: int) -> None:
    """Move an interface into the network namespace of a process. Raises OSError.

    When that namespace ends, a NIC comes back to the first one, a virtual interface is gone.
    """
    index = _socket.if_nametoindex(interface)
    body = struct.pack("=BxHiII", _socket.AF_UNSPEC, 0, index, 0, 0)
    _request(_RTM_NEWLINK, body + _attribute(_IFLA_NET_NS_PID, struct.pack("=I", pid)), 0)


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _request(kind: int, body: bytes, flags: int) -> None:
    flags |= _NLM_F_REQUEST | _NLM_F_ACK
    made = _socket.socket(
        _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_ROUTE
    )
    try:
        made.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = made.recv(8192)
    finally:
        made.close()
    answered, code = struct.unpack_from("=4xH10xi", answer)
    if answered != _NLMSG_ERROR:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    if code:
        raise OSError(-code, os.strerror(-code))

"""Network links by raw rtnetlink(7): enough to delete one by its name."""

from __future__ import annotations

import errno
import os
import struct

MAX_NAME = 15  # IFNAMSIZ without its NUL

_RTM_DELLINK = 17
_NLM_F_REQUEST, _NLM_F_ACK = 0x1, 0x4
_NLMSG_ERROR = 2
_IFLA_IFNAME = 3
_NETLINK_ROUTE = 0


def delete_link(name: str) -> None:
    """Delete a network interface, and its peer if it is a veth. Raises OSError (ENODEV: none)."""
    from socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket

    with socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        netlink.send(_request(name))
        answer = netlink.recv(8192)
    kind, code = struct.unpack_from("=4xH10xi", answer)
    if kind != _NLMSG_ERROR:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO), name)
    if code:
        raise OSError(-code, os.strerror(-code), name)


def _request(name: str) -> bytes:
    """A struct nlmsghdr, a struct ifinfomsg, and one attribute."""
    text = os.fsencode(name) + b"\0"
    attribute = struct.pack("=HH", 4 + len(text), _IFLA_IFNAME) + text + bytes(-len(text) % 4)
    body = bytes(16) + attribute
    flags = _NLM_F_REQUEST | _NLM_F_ACK
    return struct.pack("=IHHII", 16 + len(body), _RTM_DELLINK, flags, 1, 0) + body

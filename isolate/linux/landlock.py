"""Landlock: restrict the files, TCP ports, signals and abstract sockets of the calling thread.

Sources: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2),
Documentation/userspace-api/landlock.rst. The kernel counts what it offers in an ABI number; what
this kernel lacks is left out of a ruleset by `Ruleset`, and `missing` says so beforehand.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from isolate.linux._libc import c_char_p, c_int, c_size_t, c_uint, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

# struct landlock_ruleset_attr: rights that are denied where no rule grants them.
FS_EXECUTE = 1 << 0
FS_WRITE_FILE = 1 << 1
FS_READ_FILE = 1 << 2
FS_READ_DIR = 1 << 3
FS_REMOVE_DIR = 1 << 4
FS_REMOVE_FILE = 1 << 5
FS_MAKE_CHAR = 1 << 6
FS_MAKE_DIR = 1 << 7
FS_MAKE_REG = 1 << 8
FS_MAKE_SOCK = 1 << 9
FS_MAKE_FIFO = 1 << 10
FS_MAKE_BLOCK = 1 << 11
FS_MAKE_SYM = 1 << 12
FS_REFER = 1 << 13  # ABI 2
FS_TRUNCATE = 1 << 14  # ABI 3
FS_IOCTL_DEV = 1 << 15  # ABI 5

NET_BIND_TCP = 1 << 0  # ABI 4
NET_CONNECT_TCP = 1 << 1

SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0  # ABI 6
SCOPE_SIGNAL = 1 << 1

LOG_SAME_EXEC_OFF = 1 << 0  # ABI 7: flags of restrict_self
LOG_NEW_EXEC_ON = 1 << 1
LOG_SUBDOMAINS_OFF = 1 << 2

FS_READ = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR
FS_DEVICES = FS_MAKE_CHAR | FS_MAKE_BLOCK
FS_ALL = (FS_IOCTL_DEV << 1) - 1
FS_WRITE = FS_ALL & ~(FS_READ | FS_DEVICES | FS_IOCTL_DEV)
NET_ALL = NET_BIND_TCP | NET_CONNECT_TCP
SCOPE_ALL = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL
LOG_ALL = LOG_SAME_EXEC_OFF | LOG_NEW_EXEC_ON | LOG_SUBDOMAINS_OFF

# What may be granted on a file that is no directory; the kernel refuses the rest there.
_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1
_RULE_NET_PORT = 2

_create_ruleset = syscall("landlock_create_ruleset", c_char_p, c_size_t, c_uint)
_add_rule = syscall("landlock_add_rule", c_int, c_uint, c_char_p, c_uint)
_restrict_self = syscall("landlock_restrict_self", c_int, c_uint)


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none, or has it switched off at boot."""
    try:
        return _create_ruleset(None, 0, _CREATE_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


class Support:
    """What an ABI can restrict: the rights of each kind, and the flags of restrict_self."""

    __slots__ = ("flags", "fs", "net", "scope")

    def __init__(self, version: int) -> None:
        fs = (FS_REFER - 1) if version >= 1 else 0
        fs |= FS_REFER if version >= 2 else 0
        fs |= FS_TRUNCATE if version >= 3 else 0
        fs |= FS_IOCTL_DEV if version >= 5 else 0
        self.fs = fs
        self.net = NET_ALL if version >= 4 else 0
        self.scope = SCOPE_ALL if version >= 6 else 0
        self.flags = LOG_ALL if version >= 7 else 0


def missing(version: int) -> list[str]:
    """What an ABI can't restrict, in words."""
    return [
        what
        for since, what in (
            (1, "files"),
            (2, "links and renames between directories"),
            (3, "truncation"),
            (4, "TCP ports"),
            (5, "ioctls of devices"),
            (6, "abstract sockets and signals"),
            (7, "its messages in the audit log"),
        )
        if version < since
    ]


class Ruleset:
    """Rights that are denied, and rules that grant them below a path or for a port.

    Rights that the kernel doesn't know are left out, so that one description fits every ABI; a
    caller for whom that isn't good enough asks `missing` first. Use it as a context manager.
    Raises OSError (ENOSYS, EOPNOTSUPP where there is no Landlock; ENOMSG where nothing is left).
    """

    __slots__ = ("_descriptor", "_flags", "fs", "net", "scope")

    def __init__(self, *, fs: int = 0, net: int = 0, scope: int = 0) -> None:
        version = abi()
        if version == 0:
            raise OSError(errno.EOPNOTSUPP, "the kernel has no Landlock, or it is switched off")
        known = Support(version)
        self.fs, self.net, self.scope = fs & known.fs, net & known.net, scope & known.scope
        self._flags = known.flags
        attribute = struct.pack("=QQQ", self.fs, self.net, self.scope)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._descriptor = _create_ruleset(attribute, size, 0)

    def allow_beneath(self, descriptor: int, access: int) -> None:
        """Grant rights on the file of a descriptor (O_PATH will do) and on all below it."""
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        granted = access & self.fs & (FS_ALL if directory else _OF_FILES)
        if granted:
            rule = struct.pack("=Qi", granted, descriptor)
            _add_rule(self._descriptor, _RULE_PATH_BENEATH, rule, 0)

    def allow_ports(self, ports: Iterable[int], access: int) -> None:
        """Grant TCP rights for port numbers; 0 in NET_BIND_TCP is "any that is free"."""
        granted = access & self.net
        if not granted:
            return
        for port in ports:
            rule = struct.pack("=QQ", granted, port)
            _add_rule(self._descriptor, _RULE_NET_PORT, rule, 0)

    def restrict_self(self, flags: int = 0) -> None:
        """Restrict the calling thread, and all that it will execute or fork, for good.

        Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace. `flags` are of LOG_ALL; those
        that the kernel doesn't know are left out.
        """
        _restrict_self(self._descriptor, flags & self._flags)

    def close(self) -> None:
        """Close the ruleset; what it restricted stays restricted."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

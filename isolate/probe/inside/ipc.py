"""Shared memory, message queues, abstract sockets, keys: made outside, found inside."""

from __future__ import annotations

import ctypes
import os
import socket

from isolate.probe.inside import raw

_SIZE = 64  # bytes of every text here
_IPC_CREAT_EXCL = 0o1000 | 0o2000
_IPC_RMID = 0
_SHM_RDONLY = 0o10000

_KEYCTL_SETPERM, _KEYCTL_UNLINK, _KEYCTL_SEARCH, _KEYCTL_READ = 5, 9, 10, 11
_USER_KEYRING = -4
_ANYBODY_MAY = 0x3F3F3F3F  # every right for possessor, user, group and others


def make_segment(key: int, text: str) -> int:
    """A segment of System V shared memory that anybody may use, with a text in it; its id."""
    number = raw.call("shmget", key, _SIZE, _IPC_CREAT_EXCL | 0o666)
    address = raw.call("shmat", number, None, 0)
    ctypes.memmove(address, text.encode(), len(text))
    raw.call("shmdt", address)
    return number


def remove_segment(number: int) -> None:
    """Remove it."""
    raw.call("shmctl", number, _IPC_RMID, None)


def read_segment(key: int) -> str:
    """What the segment of a key holds."""
    number = raw.call("shmget", key, 0, 0)
    address = raw.call("shmat", number, None, _SHM_RDONLY)
    return ctypes.string_at(address, _SIZE).decode(errors="replace")


class _Attributes(ctypes.Structure):
    """struct mq_attr (mq_getattr(3))."""

    _fields_ = [
        (name, ctypes.c_long) for name in "flags maxmsg msgsize curmsgs r1 r2 r3 r4".split()
    ]


def make_queue(name: str, text: str) -> None:
    """A POSIX message queue that anybody may use, with a message in it."""
    shape = _Attributes(0, 1, _SIZE)
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    queue = raw.call("mq_open", name.encode() + b"\0", flags, 0o666, ctypes.byref(shape))
    os.fchmod(queue, 0o666)  # whatever the umask
    try:
        raw.call("mq_timedsend", queue, text.encode(), len(text), 0, None)
    finally:
        os.close(queue)


def remove_queue(name: str) -> None:
    """Remove a message queue."""
    raw.call("mq_unlink", name.encode() + b"\0")


def read_posix(queue: str, shared: str) -> str:
    """What a message queue or a file of shared memory holds, both by the same name."""
    try:
        return _receive(queue)
    except OSError as refusal:
        try:
            with open(f"/dev/shm/{shared}", errors="replace") as file:  # noqa: S108 - shm_open(3)
                return file.read(_SIZE)
        except OSError:
            raise refusal from None


def _receive(name: str) -> str:
    opened = raw.call("mq_open", name.encode() + b"\0", os.O_RDONLY | os.O_NONBLOCK, 0, None)
    return raw.read_into(
        "mq_timedreceive", _SIZE, lambda at: (opened, at, _SIZE, None, None)
    ).decode(errors="replace")


def send_abstract(name: str) -> str:
    """Send a datagram to an abstract socket (unix(7))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(b"from inside", b"\0" + name.encode())
    return "sent"


def make_key(description: str, payload: str) -> int:
    """A key in the user's keyring that anybody may find and read (keyrings(7)); its number."""
    key = raw.call(
        *("add_key", b"user\0", description.encode() + b"\0", payload.encode(), len(payload)),
        _USER_KEYRING,
    )
    raw.call("keyctl", _KEYCTL_SETPERM, key, _ANYBODY_MAY)
    return key


def remove_key(key: int) -> None:
    """Take a key out of the user's keyring."""
    raw.call("keyctl", _KEYCTL_UNLINK, key, _USER_KEYRING)


def read_key(key: int, description: str) -> str:
    """What a key holds, found in the user's keyring by its description, or by its number."""
    try:
        found = raw.call(
            *("keyctl", _KEYCTL_SEARCH, _USER_KEYRING, b"user\0", description.encode() + b"\0", 0)
        )
    except OSError:
        found = key
    return raw.read_into("keyctl", _SIZE, lambda at: (_KEYCTL_READ, found, at, _SIZE)).decode(
        errors="replace"
    )

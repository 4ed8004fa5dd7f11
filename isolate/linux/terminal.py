"""Pseudo-terminals: opening a pair by descriptor, sizes, the controlling terminal; pty(7)."""

from __future__ import annotations

import fcntl
import os
import struct

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_TIOCGPTN = 0x80045430
_TIOCSWINSZ = 0x5414
_TIOCGWINSZ = 0x5413
_TIOCSCTTY = 0x540E


def open_pair(ptmx: str = "/dev/ptmx") -> tuple[int, int]:
    """A master and its peer, opened by descriptor and never by a path that could be redirected
    (CVE-2025-52565)."""
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        peer = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(master)
        raise
    return master, peer


def number(master: int) -> int:
    """The N of /dev/pts/N."""
    answer: int = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
    return answer


def window_size(descriptor: int) -> bytes:
    """The struct winsize of a terminal."""
    return fcntl.ioctl(descriptor, _TIOCGWINSZ, bytes(8))


def set_window_size(descriptor: int, size: bytes) -> None:
    """Set the struct winsize; the foreground process group gets SIGWINCH."""
    fcntl.ioctl(descriptor, _TIOCSWINSZ, size)


def make_controlling(descriptor: int) -> None:
    """Make a terminal the controlling one of this session."""
    fcntl.ioctl(descriptor, _TIOCSCTTY, 0)

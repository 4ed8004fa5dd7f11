"""Attempts on devices: to make a node of the host's and open it, to type into its terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from isolate.probe.inside import raw

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACES = ("/tmp", "/dev", "/run", "/var/tmp", "/", ".")  # noqa: S108 - wherever a node can be made
_TIOCSTI = 0x5412


def open_devices(devices: list[list[int]], place: str) -> list[str]:
    """Which devices open, by the node that there is or one that is made and removed again.

    Each device is its kind (S_IFCHR, S_IFBLK), its major and its minor number. Nothing is read.
    Raises the error of the last one where none opens.
    """
    present = _nodes()
    opened = []
    refusal = OSError(errno.ENOENT, "there is none")
    for kind, major, minor in devices:
        try:
            _open(kind, os.makedev(major, minor), present, place)
            opened.append(f"{'b' if kind == stat.S_IFBLK else 'c'} {major}:{minor}")
        except OSError as error:
            refusal = error
    if not opened:
        raise refusal
    return opened


def _nodes() -> dict[tuple[int, int], str]:
    """The nodes below /dev, by kind and number."""
    found = {}
    for top, _directories, names in os.walk("/dev"):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(f"{top}/{name}")
                found[stat.S_IFMT(status.st_mode), status.st_rdev] = f"{top}/{name}"
    return found


def _open(kind: int, number: int, present: dict[tuple[int, int], str], place: str) -> None:
    """By the node that there is; by one in memory of our own, as an administrator can mount it; by
    one in any directory."""
    ways: list[Callable[[], None]] = [
        lambda: _look(present[kind, number]),
        lambda: _look_in_memory(kind, number),
        *(partial(_look_below, kind, number, where) for where in (place, *_PLACES)),
    ]
    refusal = OSError(errno.ENOENT, "no place for a node")
    for way in ways:
        try:
            way()
        except KeyError:
            continue
        except OSError as error:
            # What the kernel refuses says more than a directory that isn't there.
            refusal = refusal if error.errno == errno.ENOENT else error
        else:
            return
    raise refusal


def _look(path: str, directory: int | None = None) -> None:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    os.close(os.open(path, flags, dir_fd=directory))


def _look_in_memory(kind: int, number: int) -> None:
    directory = raw.open_detached("tmpfs")
    try:
        os.mknod("node", kind | 0o600, number, dir_fd=directory)
        _look("node", directory)
    finally:
        os.close(directory)


def _look_below(kind: int, number: int, where: str) -> None:
    with tempfile.TemporaryDirectory(dir=where, prefix="isolate-node-") as directory:
        os.mknod(f"{directory}/node", kind | 0o600, number)
        _look(f"{directory}/node")


def type_into_terminal(text: str) -> list[str]:
    """Push bytes into the input of the terminal (ioctl_tty(2), TIOCSTI), by every way to it.

    Also with a request whose upper half isn't zero, which the kernel ignores and a filter may
    not (CVE-2019-10063). Returns the ways that were not refused.
    """
    done = []
    refusal = OSError(errno.ENOTTY, "there is no terminal")
    for terminal in ("0", "1", "2", "/dev/tty", "/dev/console"):
        try:
            descriptor = int(terminal) if terminal.isdigit() else os.open(terminal, os.O_RDWR)
            if not os.isatty(descriptor):
                continue
            _type(descriptor, text)
            done.append(terminal)
        except OSError as error:  # what is refused says more than what isn't there
            refusal = refusal if error.errno in (errno.ENOENT, errno.ENXIO) else error
    if not done:
        raise refusal
    return done


def _type(descriptor: int, text: str) -> None:
    for byte in text.encode():
        try:
            fcntl.ioctl(descriptor, _TIOCSTI, bytes([byte]))
        except OSError:
            raw.call("ioctl", descriptor, 1 << 32 | _TIOCSTI, bytes([byte]))

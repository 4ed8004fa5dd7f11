"""Attempts on devices: to make a node of the host's and open it, to type into its terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile

from isolate.probe.inside import raw

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
    refusal: OSError | None = None
    if (kind, number) in present:
        try:
            os.close(os.open(present[kind, number], _FLAGS))
        except OSError as error:
            refusal = error
        else:
            return
    for where in (place, *_PLACES):
        try:
            _make_and_open(kind, number, where)
        except OSError as error:
            # That a node is refused says more than that a directory isn't there.
            refusal = error if refusal is None or error.errno == errno.EPERM else refusal
        else:
            return
    raise refusal or OSError(errno.ENOENT, "no place for a node")


_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def _make_and_open(kind: int, number: int, where: str) -> None:
    with tempfile.TemporaryDirectory(dir=where, prefix="isolate-node-") as directory:
        path = f"{directory}/node"
        os.mknod(path, kind | 0o600, number)
        os.close(os.open(path, _FLAGS))


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
        except OSError as error:
            refusal = error
    if not done:
        raise refusal
    return done


def _type(descriptor: int, text: str) -> None:
    for byte in text.encode():
        try:
            fcntl.ioctl(descriptor, _TIOCSTI, bytes([byte]))
        except OSError:
            raw.call("ioctl", descriptor, 1 << 32 | _TIOCSTI, bytes([byte]))

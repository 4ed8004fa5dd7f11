"""The mounts of a mount namespace, read from /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OCTAL = "01234567"


class Mount:
    """One line of mountinfo, its octal escapes undone.

    Attributes:
        mount_id: unique while it is mounted.
        parent_id: the mount that it lies on.
        device: major and minor number, as `8:1`.
        root: the directory of the filesystem that is mounted; names the object on nsfs.
        mount_point: where, as the reader's root directory sees it.
        options: per mount: `ro`, `nosuid`, ...
        propagation: optional fields: `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
        fs_type: `ext4`, `fuse.sshfs`, ...
        source: a device or what the filesystem puts there.
        super_options: per filesystem.
    """

    __slots__ = (
        "device",
        "fs_type",
        "mount_id",
        "mount_point",
        "options",
        "parent_id",
        "propagation",
        "root",
        "source",
        "super_options",
    )

    def __init__(self, line: str) -> None:
        # A space inside a field is escaped, so " - " is the separator and nothing else.
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        tail = right.split(" ")
        if len(fields) < 6 or len(tail) < 3:
            raise ValueError(f"not a line of mountinfo: {line!r}")
        self.mount_id = int(fields[0])
        self.parent_id = int(fields[1])
        self.device = fields[2]
        self.root = unescape(fields[3])
        self.mount_point = unescape(fields[4])
        self.options = tuple(fields[5].split(","))
        self.propagation = tuple(fields[6:])
        self.fs_type = unescape(tail[0])
        self.source = unescape(tail[1])
        self.super_options = tuple(unescape(tail[2]).split(","))

    def __repr__(self) -> str:
        return f"Mount({self.mount_point!r}, {self.fs_type!r}, source={self.source!r})"


def unescape(field: str) -> str:
    r"""Undo the kernel's escapes of space, tab, newline, `#` and backslash (`\040`)."""
    if "\\" not in field:
        return field
    head, *rest = field.split("\\")
    return head + "".join(map(_undo_one, rest))


def _undo_one(piece: str) -> str:
    code = piece[:3]
    if len(code) == 3 and all(digit in _OCTAL for digit in code):
        return chr(int(code, 8)) + piece[3:]
    return "\\" + piece


def parse(text: str) -> list[Mount]:
    """The mounts of a mountinfo file, in its order. Raises ValueError."""
    # Only newlines end a line: a mount point may hold what else splitlines() would split at.
    return [Mount(line) for line in text.split("\n") if line]


def read(pid: int | str = "self") -> list[Mount]:
    """The mounts that a process sees. Raises OSError."""
    return parse(os.fsdecode(read_bytes(pid)))


def read_bytes(pid: int | str = "self") -> bytes:
    """The file as it is, for a search that needs no parsing. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY)
    try:
        pieces = []
        while piece := os.read(descriptor, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def mount_id_of(descriptor: int) -> int:
    """The mount that a descriptor lies on (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
    raise OSError(errno.ENOSYS, "the kernel tells no mount ids of descriptors")


def mounts_below(path: str, mounts: Iterable[Mount] | None = None) -> list[Mount]:
    """The mounts at `path` and below it, in the order of mounting."""
    prefix = path.rstrip("/") + "/"
    return [
        mount
        for mount in (read() if mounts is None else mounts)
        if f"{mount.mount_point}/".startswith(prefix) or prefix == "/"
    ]


def mount_at(path: str, mounts: Iterable[Mount] | None = None) -> Mount | None:
    """The topmost mount whose mount point is exactly `path`; None where nothing is mounted."""
    found = None
    for mount in read() if mounts is None else mounts:
        if mount.mount_point == path:
            found = mount
    return found


def mount_of(path: str, mounts: Iterable[Mount] | None = None) -> Mount | None:
    """The mount in which an absolute path without symbolic links lies."""
    found = None
    for mount in read() if mounts is None else mounts:
        inside = f"{path}/".startswith(mount.mount_point.rstrip("/") + "/")
        if inside and (found is None or len(mount.mount_point) >= len(found.mount_point)):
            found = mount
    return found


def filesystems(kinds: Iterable[str], mounts: Iterable[Mount] | None = None) -> list[Mount]:
    """The mounts of filesystems of these types."""
    wanted = frozenset(kinds)
    return [mount for mount in (read() if mounts is None else mounts) if mount.fs_type in wanted]

"""Reading and writing the small files of a cgroup filesystem, with errors that say which file."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 65536
_GONE = (errno.ENOENT, errno.ENODEV)  # ENODEV: the group was removed while the file was open


class CgroupError(OSError):
    """A cgroup can't be made, limited, emptied or removed; `strerror` is the whole explanation."""

    def __str__(self) -> str:
        return str(self.strerror)


def read(path: str) -> str:
    """The whole content of an interface file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _CHUNK):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def read_if_there(path: str) -> str | None:
    """As `read`, but None where this kernel, or by now this group, has no such file."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in (*_GONE, errno.EOPNOTSUPP):  # EOPNOTSUPP: pressure that is switched off
            return None
        raise


def write(path: str, text: str) -> None:
    """Give an interface file one command, in one write(2). Raises CgroupError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CgroupError(
            error.errno, f"the kernel refused {text!r} in {path}: {error.strerror}", path
        ) from None


def pairs(text: str | None) -> dict[str, int]:
    """A flat keyed file (`cpu.stat`, `memory.events`): one `KEY NUMBER` in each line."""
    result = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            result[key] = int(value)
    return result


def number(text: str | None) -> int | None:
    """A file that holds one number; None for `max`, and where there is no file."""
    stripped = (text or "").strip()
    return int(stripped) if stripped.isdigit() else None


def tree(directory: str) -> list[str]:
    """A group and all the groups below it, the deepest first; empty when it is gone."""
    found: list[str] = []
    pending = [directory]
    while pending:
        here = pending.pop()
        try:
            pending.extend(_children(here))
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        found.append(here)
    found.reverse()
    return found


def _children(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path


def members(directory: str, *, file: str = "cgroup.procs") -> list[int]:
    """The processes of a group and of all below it, as this process's pid namespace counts them.

    Those that the namespace can't see are left out (the kernel shows them as 0).
    """
    pids: set[int] = set()
    for group in tree(directory):
        text = read_if_there(f"{group}/{file}") or ""
        pids.update(int(line) for line in text.split())
    pids.discard(0)
    return sorted(pids)

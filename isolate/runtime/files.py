"""Whole files in and out of a container's root, which no link can lead out of: `Sandbox.write` etc.

A path is resolved by the kernel in the root that the caller opened (openat2(2)). A file is written
beside its place and then renamed, so it is there whole or not at all; it takes the place of a link,
and nothing is written through one.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.errors import StateError
from isolate.linux import namespaces
from isolate.linux.resolve import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from isolate.backend.abilities import OpensRoot
    from isolate.backend.types import Handle

_CHUNK = 1 << 20
_MODE = 0o1777
_HINT = "paths are resolved in the container's own root"


class Root:
    """The root directory of a running container, and who its user 0 is."""

    __slots__ = ("_descriptor", "_owner", "_users")

    def __init__(self, backend: OpensRoot, handle: Handle) -> None:
        """Hold on to it. Raises StateError where the container doesn't run."""
        self._descriptor, *owner = backend.open_root(handle)
        self._owner = (owner[0], owner[1])
        self._users = -1
        if handle.pid is not None and _has_own_users(handle.pid):
            self._users = os.open(f"/proc/{handle.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of it."""
        for descriptor in (self._descriptor, self._users):
            if descriptor >= 0:
                os.close(descriptor)

    def become_owner(self) -> None:
        """Be the container's user 0 from now on, for good, where it has users of its own: with
        rights to all of its files, and to nothing of the host's. Raises OSError."""
        if self._users >= 0:
            namespaces.setns(self._users, namespaces.CLONE_NEWUSER)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            self._owner = (0, 0)

    def write(self, path: str, source: int, mode: int) -> None:
        """Make `path` a file with what the descriptor `source` holds; its owner is root inside.
        Set-user-id and set-group-id bits are dropped. Raises StateError."""
        try:
            directory, name = _split(path)
            parent = open_in_root(self._descriptor, directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._replace(parent, name, source, mode)
            finally:
                os.close(parent)
        except OSError as error:
            _fail(path, "written", error)

    def _replace(self, parent: int, name: str, source: int, mode: int) -> None:
        beside = f".isolate-{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        sink = os.open(beside, flags, 0o600, dir_fd=parent)
        try:
            _copy(source, sink)
            os.fchown(sink, *self._owner)
            os.fchmod(sink, mode & _MODE)
            os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(beside, dir_fd=parent)
            raise
        finally:
            os.close(sink)

    def read(self, path: str, sink: int, limit: int) -> None:
        """Copy the file at `path` to the descriptor `sink`. Raises StateError where it is no
        regular file, has more than `limit` bytes, or changes meanwhile."""
        try:
            os.close(self._regular(path, os.O_PATH))  # to open a device has effects of its own
            source = self._regular(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                _read_whole(source, sink, limit)
            finally:
                os.close(source)
        except OSError as error:
            _fail(path, "read", error)

    def _regular(self, path: str, flags: int) -> int:
        descriptor = open_in_root(self._descriptor, path, flags)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted. Raises StateError."""
        try:
            directory = open_in_root(self._descriptor, path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                return sorted(os.listdir(directory))
            finally:
                os.close(directory)
        except OSError as error:
            _fail(path, "listed", error)


def _has_own_users(pid: int) -> bool:
    name = namespaces.FILES["users"]
    return namespaces.identity(pid, name) != namespaces.identity("self", name)


def _split(path: str) -> tuple[str, str]:
    directory, name = os.path.split(path)
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "it is no name for a file")
    return directory or "/", name


def _read_whole(source: int, sink: int, limit: int) -> None:
    before = os.fstat(source)
    if _copy(source, sink, limit) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes")
    after = os.fstat(source)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EAGAIN, "it is being written")


def _copy(source: int, sink: int, limit: int | None = None) -> int:
    """Copy to the end, or until there is more than `limit`; how many bytes there were."""
    copied = 0
    while (limit is None or copied <= limit) and (data := os.read(source, _CHUNK)):
        view = memoryview(data)
        copied += len(data)
        while view:
            view = view[os.write(sink, view) :]
    return copied


def _fail(path: str, what: str, error: OSError) -> NoReturn:
    raise StateError(f"{path} can't be {what}: {error.strerror}", hint=_HINT) from None

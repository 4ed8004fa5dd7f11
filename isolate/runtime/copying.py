"""`cp`: files between the host and a container's root, which no link can lead out of.

The container may swap symbolic links while we copy (CVE-2018-15664). So a path inside is resolved
by the kernel in the container's root (openat2(2)), everything below it is reached by descriptor,
one name at a time and without following links, and only regular files, directories and symbolic
links are copied. Set-user-id and set-group-id bits are dropped.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.backend.abilities import OpensRoot
from isolate.errors import IsolateError, StateError
from isolate.linux.resolve import open_in_root
from isolate.runtime import abilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.state import Entry

_CHUNK = 1 << 20
_MODE = 0o1777
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 256


def to_container(entry: Entry, source: str, target: str) -> None:
    """Copy a file or directory of the host to `target` inside; its owner is root inside.

    Into a directory that exists it is copied under its own name, as with cp(1).
    Raises IsolateError.
    """
    root, uid, gid = _root(entry)
    try:
        origin = os.open(os.path.abspath(source), os.O_PATH | os.O_CLOEXEC)
        try:
            name = os.path.basename(os.path.normpath(os.path.abspath(source)))
            parent, last = _place(lambda path, flags: open_in_root(root, path, flags), target, name)
            try:
                _Copy((uid, gid)).one(origin, parent, last)
            finally:
                os.close(parent)
        finally:
            os.close(origin)
    except OSError as error:
        raise _failed(source, target, error) from None
    finally:
        os.close(root)


def from_container(entry: Entry, source: str, target: str) -> None:
    """Copy a file or directory from inside to `target` on the host; its owner is the caller."""
    root, _uid, _gid = _root(entry)
    try:
        origin = open_in_root(root, source, os.O_PATH)
        try:
            name = os.path.basename(os.path.normpath(f"/{source}")) or "root"
            parent, last = _place(_open_on_host, target, name)
            try:
                _Copy(None).one(origin, parent, last)
            finally:
                os.close(parent)
        finally:
            os.close(origin)
    except OSError as error:
        raise _failed(source, target, error) from None
    finally:
        os.close(root)


def _open_on_host(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _root(entry: Entry) -> tuple[int, int, int]:
    backend, handle = abilities.running(entry, "created", "running", "paused")
    if not isinstance(backend, OpensRoot):
        raise abilities.refusal(backend, OpensRoot)
    return backend.open_root(handle)


def _failed(source: str, target: str, error: OSError) -> IsolateError:
    where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
    return StateError(
        f"{source} can't be copied to {target}: {error.strerror}{where}",
        hint="paths are resolved in the container's own root",
    )


def _place(opener: Callable[[str, int], int], target: str, name: str) -> tuple[int, str]:
    """The directory to copy into, and the name there."""
    try:
        return opener(target or "/", os.O_RDONLY | os.O_DIRECTORY), name
    except (FileNotFoundError, NotADirectoryError):
        if target.endswith("/"):
            raise
    parent, last = os.path.split(target)
    if last in ("", ".", ".."):
        raise OSError(errno.EINVAL, "is no name for a file", target)
    return opener(
        parent or ("/" if target.startswith("/") else "."), _DIRECTORY & ~os.O_NOFOLLOW
    ), last


class _Copy:
    """One copying: who owns what is made."""

    def __init__(self, owner: tuple[int, int] | None) -> None:
        self._owner = owner

    def one(self, origin: int, parent: int, name: str, depth: int = 0) -> None:
        """Copy what the O_PATH descriptor `origin` is to `name` in the directory `parent`."""
        found = os.fstat(origin)
        if depth > _DEEPEST:
            raise OSError(errno.ELOOP, "the directories are nested too deep", name)
        if stat.S_ISREG(found.st_mode):
            self._file(origin, parent, name, found.st_mode)
        elif stat.S_ISDIR(found.st_mode):
            self._directory(origin, parent, name, found.st_mode, depth)
        elif stat.S_ISLNK(found.st_mode):
            self._link(origin, parent, name)
        else:
            raise OSError(errno.EINVAL, "is no file, directory or link", name)

    def _file(self, origin: int, parent: int, name: str, mode: int) -> None:
        source = os.open(f"/proc/self/fd/{origin}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._unlink(parent, name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            sink = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                _copy_data(source, sink)
                self._settle(sink, mode)
            finally:
                os.close(sink)
        finally:
            os.close(source)

    @staticmethod
    def _unlink(parent: int, name: str) -> None:
        """A new file takes the place of an old one or of a link: nothing is written through it."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return

    def _settle(self, descriptor: int, mode: int) -> None:
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)
        os.fchmod(descriptor, stat.S_IMODE(mode) & _MODE)

    def _directory(self, origin: int, parent: int, name: str, mode: int, depth: int) -> None:
        made = _make_directory(parent, name)
        here = os.open(name, _DIRECTORY, dir_fd=parent)
        source = os.open(".", _DIRECTORY, dir_fd=origin)
        try:
            for child in os.listdir(source):
                item = os.open(child, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
                try:
                    self.one(item, here, child, depth + 1)
                finally:
                    os.close(item)
            if made:  # what was there keeps its owner: the way to it may be the container's choice
                self._settle(here, mode)
        finally:
            os.close(source)
            os.close(here)

    def _link(self, origin: int, parent: int, name: str) -> None:
        text = os.readlink("", dir_fd=origin)
        self._unlink(parent, name)
        os.symlink(text, name, dir_fd=parent)
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=parent, follow_symlinks=False)


def _make_directory(parent: int, name: str) -> bool:
    """Whether it wasn't there before."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _copy_data(source: int, sink: int) -> None:
    """What the file holds now, hole for hole: it may grow for ever while it is read, or consist of
    nothing but a size. Files of proc have none, and end by themselves."""
    size = os.fstat(source).st_size
    if size == 0:
        _write_all(sink, os.read(source, _CHUNK))
        return
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            end = min(size, os.lseek(source, at, os.SEEK_HOLE))
        except OSError as error:
            if error.errno != errno.ENXIO:  # no data behind it
                raise
            break
        os.lseek(sink, at, os.SEEK_SET)
        at = _copy_piece(source, sink, at, end)
    os.ftruncate(sink, size)


def _copy_piece(source: int, sink: int, at: int, end: int) -> int:
    while at < end:
        data = os.pread(source, min(_CHUNK, end - at), at)
        if not data:
            break  # it was cut meanwhile
        _write_all(sink, data)
        at += len(data)
    return end


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]

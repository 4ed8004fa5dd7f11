"""The cache directory: whose it may be, what lies in it, how a layer gets in whole or not at all.

- KIND/KEY/root is a layer; a shared flock(2) on `root` says that it is in use.
- KIND/NAME.index leads from what is cheap to look at to a KEY.
- partial/NAME is being made or removed; an exclusive flock(2) says that its maker lives.
- lock is taken for short steps, base.lock for as long as a base is being built.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from isolate.errors import RootfsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

KINDS = ("base", "tar")
PARTIAL = "partial"


def location() -> str:
    """Where the cache is: ISOLATE_CACHE; root: /var/cache/isolate; others: $XDG_CACHE_HOME/isolate.

    Without an absolute XDG_CACHE_HOME that is ~/.cache/isolate (XDG Base Directory Specification).
    """
    chosen = os.environ.get("ISOLATE_CACHE")
    if chosen:
        return os.path.abspath(chosen)
    if os.geteuid() == 0:
        return "/var/cache/isolate"
    home = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.cache"), "isolate")


def directory() -> str:
    """The cache directory, made if missing. Raises RootfsError if others could write to it."""
    path = location()
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise _unusable(path, error) from error
    _check(path, found)
    return path


def _check(path: str, found: os.stat_result) -> None:
    hint = "name a directory of your own in ISOLATE_CACHE"
    if not stat.S_ISDIR(found.st_mode):
        raise RootfsError(f"the cache {path} is not a directory", hint=hint)
    if found.st_uid != os.geteuid():
        raise RootfsError(f"the cache {path} belongs to user {found.st_uid}, not to you", hint=hint)
    if found.st_mode & 0o022:
        raise RootfsError(
            f"the cache {path} is writable by others", hint=f"chmod go-w {path}, or {hint}"
        )


def _make(path: str) -> str:
    """Make the directories; root's are passable, so that ids mapped by user namespaces get in."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        os.makedirs(os.path.dirname(path), mode=0o700 if mode == 0o700 else 0o755, exist_ok=True)
        make_directory(path, mode)
        ensure_subdirectories(path)
    except OSError as error:
        raise _unusable(path, error) from error
    _check(path, os.stat(path))
    return path


def make_directory(path: str, mode: int) -> None:
    """Make one directory with exactly this mode, whatever the umask; leave an existing one."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    os.chmod(path, mode)


def _unusable(path: str, error: OSError) -> RootfsError:
    return RootfsError(
        f"the cache {path} can't be used: {error.strerror}",
        hint="name a directory of your own in ISOLATE_CACHE",
    )


def failed(what: str, error: OSError) -> RootfsError:
    """The error of a build or unpacking that the system stopped."""
    hint = "name a directory with enough space in ISOLATE_CACHE"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        hint = f"look at {location()} and its file system"
    place = f": {os.fsdecode(error.filename)}" if error.filename else ""
    return RootfsError(f"{what}: {error.strerror}{place}", hint=hint)


def layer(cache: str, kind: str, key: str) -> str:
    """The path of a layer, whether it exists or not."""
    return f"{cache}/{kind}/{key}/root"


class Lock:
    """An exclusive flock(2) on a file of the cache, for the length of a `with`."""

    def __init__(self, cache: str, name: str = "lock") -> None:
        self._path = os.path.join(cache, name)
        self._descriptor = -1

    def __enter__(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_raised: object) -> None:
        os.close(self._descriptor)


class Partial:
    """A directory in which a layer grows, removed unless it was published.

    `path` is the directory, `root` the layer in it. Killed makers leave theirs behind; whoever
    comes next removes what no living maker has locked.
    """

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._descriptor = -1
        self.path = ""
        self.root = ""

    def __enter__(self) -> Self:
        ensure_subdirectories(self._cache)
        with Lock(self._cache):
            for path in abandoned(self._cache):
                remove_tree(path)
            self.path = os.path.join(self._cache, PARTIAL, os.urandom(8).hex())
            os.mkdir(self.path, 0o700)
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self.root = os.path.join(self.path, "root")
        os.mkdir(self.root, 0o700)
        return self

    def __exit__(self, *_raised: object) -> None:
        try:
            if os.path.lexists(self.path):
                remove_tree(self.path)
        finally:
            os.close(self._descriptor)

    def publish(self, kind: str, key: str, *, private: bool = False) -> str:
        """Put the layer into the cache in one step, and return its path.

        A layer of the same key that came first is kept. `private` shuts it off for all but its
        owner. It is on disk before it can be seen, so a power cut can't leave it half there.
        """
        from isolate.linux.sync import syncfs

        os.chmod(self.path, 0o700 if private else 0o755)
        syncfs(self._descriptor)
        try:
            os.rename(self.path, os.path.join(self._cache, kind, key))
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        return layer(self._cache, kind, key)


def ensure_subdirectories(cache: str) -> None:
    """Make what is missing in the cache; somebody may have emptied it by hand."""
    mode = stat.S_IMODE(os.stat(cache).st_mode) & 0o755
    for kind in KINDS:
        make_directory(os.path.join(cache, kind), mode)
    make_directory(os.path.join(cache, PARTIAL), 0o700)


def abandoned(cache: str) -> Iterator[str]:
    """The directories in `partial` whose makers are gone; only under `Lock`."""
    for name in os.listdir(os.path.join(cache, PARTIAL)):
        path = os.path.join(cache, PARTIAL, name)
        if unlocked(path):
            yield path


def unlocked(path: str) -> bool:
    """Whether nobody holds a flock(2) on the directory `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also where a file system has no such locks: better kept than lost
        return False
    finally:
        os.close(descriptor)
    return True


def write_atomically(path: str, content: bytes) -> None:
    """Replace a small file whole; a reader sees the old content or the new."""
    temporary = f"{path}.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


def remove_tree(path: str | bytes, dir_fd: int | None = None) -> None:
    """Remove a directory and all below it, without following links out of it.

    Directories that an archive made unreadable are opened up first.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        here = os.open(path, flags, dir_fd=dir_fd)
    except PermissionError:
        os.chmod(path, 0o700, dir_fd=dir_fd)
        here = os.open(path, flags, dir_fd=dir_fd)
    try:
        if stat.S_IMODE(os.fstat(here).st_mode) & 0o700 != 0o700:
            os.fchmod(here, 0o700)
        _empty(here)
    finally:
        os.close(here)
    os.rmdir(path, dir_fd=dir_fd)


def _empty(here: int) -> None:
    with os.scandir(here) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if is_directory:
            remove_tree(name, here)
        else:
            os.unlink(name, dir_fd=here)

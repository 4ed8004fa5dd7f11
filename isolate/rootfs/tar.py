"""`tar:PATH`: an archive unpacked once into the cache, found again by the file's identity."""

from __future__ import annotations

import os
import stat
import time

from isolate.errors import RootfsError
from isolate.rootfs import cache
from isolate.rootfs.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.rootfs.archive import Limits

FORMAT = 1  # of how entries become files; a change makes every unpacked archive old

# Seconds that a file's times may lag: two changes within a tick of the kernel have one time.
_CLOCK_TICK = 0.02


def prepare(path: str, limits: Limits | None = None, *, devices: bool = False) -> Root:
    """The layer of the archive at the absolute `path`, unpacked unless it is in the cache.

    `devices` allows device nodes (for root only), else they are refused, but for the few that
    every /dev has. Raises ArchiveError, and leaves nothing, for a hostile or damaged archive;
    RootfsError.
    """
    directory = cache.directory()
    try:
        index = _index(directory, os.stat(path), devices=devices)
        key = os.readlink(index)
        layer = cache.layer(directory, "tar", key)
        os.stat(layer)
    except OSError:
        layer = _unpack(directory, path, limits, devices=devices)
    return Root(f"tar:{path}", (layer,), cached=True)


def _index(directory: str, found: os.stat_result, *, devices: bool) -> str:
    """The link that leads from a file, as long as it is unchanged, to its layer's key."""
    numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    name = "-".join(f"{number:x}" for number in numbers)
    return f"{directory}/tar/{name}-{FORMAT}{'d' if devices else ''}.index"


def _unpack(directory: str, path: str, limits: Limits | None, *, devices: bool) -> str:
    from isolate.errors import ArchiveError

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _unpack_open(directory, descriptor, limits, devices=devices)
        finally:
            os.close(descriptor)
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise cache.failed(f"{path} can't be unpacked", error) from error


def _unpack_open(directory: str, descriptor: int, limits: Limits | None, *, devices: bool) -> str:
    from isolate.rootfs.archive import Archive, Limits
    from isolate.rootfs.unpack import Unpacker

    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise RootfsError("an archive must be a regular file", hint="for a directory say dir:PATH")
    _let_clock_tick(before.st_ctime)
    archive = Archive(descriptor, limits or Limits())
    with cache.Partial(directory) as partial:
        root_fd = os.open(partial.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpacker = Unpacker(archive, root_fd, devices=devices)
            unpacker.run()
        finally:
            os.close(root_fd)
        index = _index(directory, before, devices=devices)
        if index != _index(directory, os.fstat(descriptor), devices=devices):
            raise RootfsError("the archive was changed while it was read", hint="try again")
        key = f"{archive.digest()[:32]}-{FORMAT}{'d' if devices else ''}"
        # The index comes first: a layer that no index leads to might be swept away at once.
        _link(index, key)
        return partial.publish("tar", key, private=unpacker.privileged_files)


def _let_clock_tick(changed: float) -> None:
    """Wait until a change of the file from now on must show in its times."""
    lag = changed + _CLOCK_TICK - time.time()
    if 0 < lag <= _CLOCK_TICK:
        time.sleep(lag)


def _link(index: str, key: str) -> None:
    temporary = f"{index}.{os.urandom(8).hex()}"
    os.symlink(key, temporary)
    os.rename(temporary, index)

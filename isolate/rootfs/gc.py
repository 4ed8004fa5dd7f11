"""Keep the cache small: remove what nobody makes, wants or uses any more."""

from __future__ import annotations

import fcntl
import os

from isolate.rootfs import base, cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def gc() -> list[str]:
    """Remove what killed processes left, and bases whose programs have changed since.

    Layers in use (`Root.hold`) stay. Returns the paths that were removed. Raises RootfsError,
    OSError.
    """
    return _sweep(everything=False)


def prune() -> list[str]:
    """Remove every layer that isn't in use; what is wanted again is built again."""
    return _sweep(everything=True)


def _sweep(*, everything: bool) -> list[str]:
    directory = cache.directory()
    removed = []
    cache.ensure_subdirectories(directory)
    # Nobody is building a base now, so an index that leads nowhere is nobody's.
    with cache.Lock(directory, "base.lock"), cache.Lock(directory):
        for path in [*cache.abandoned(directory)]:
            cache.remove_tree(path)
            removed.append(path)
        wanted = set() if everything else {*_bases(directory), *_tars(directory)}
        for kind in cache.KINDS:
            removed.extend(_drop_unwanted(directory, kind, wanted))
        for kind in cache.KINDS:
            removed.extend(_drop_indexes(directory, kind))
    return removed


def _names(directory: str, kind: str) -> Iterator[tuple[str, str]]:
    for name in sorted(os.listdir(f"{directory}/{kind}")):
        yield name, f"{directory}/{kind}/{name}"


def _bases(directory: str) -> Iterator[str]:
    """The keys of the bases that a `prepare` would return."""
    for name, path in _names(directory, "base"):
        found = base.lookup(directory, path) if name.endswith(".index") else None
        if found:
            yield found[0]


def _tars(directory: str) -> Iterator[str]:
    """The keys of the archives' layers: whether the archive is still there can't be told."""
    for name, path in _names(directory, "tar"):
        if name.endswith(".index"):
            yield os.readlink(path)


def _drop_unwanted(directory: str, kind: str, wanted: set[str]) -> Iterator[str]:
    for name, path in _names(directory, kind):
        is_layer = os.path.isdir(path) and not os.path.islink(path)
        if name not in wanted and is_layer and _drop(directory, path):
            yield path


def _drop(directory: str, path: str) -> bool:
    """Hide the layer while it is locked against users, then remove it."""
    try:
        descriptor = os.open(f"{path}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        cache.remove_tree(path)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden = os.path.join(directory, cache.PARTIAL, os.urandom(8).hex())
        os.rename(path, hidden)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    cache.remove_tree(hidden)
    return True


def _drop_indexes(directory: str, kind: str) -> Iterator[str]:
    """Remove indexes that lead to no layer, and the halves that killed writers left."""
    for name, path in _names(directory, kind):
        if os.path.isdir(path) and not os.path.islink(path):
            continue
        if not name.endswith(".index") or not _leads_somewhere(directory, kind, path):
            os.unlink(path)
            yield path


def _leads_somewhere(directory: str, kind: str, path: str) -> bool:
    if kind == "base":
        return base.lookup(directory, path) is not None
    return os.path.isdir(cache.layer(directory, kind, os.readlink(path)))

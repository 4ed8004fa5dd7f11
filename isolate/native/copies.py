"""Copies of a root's files for one container, whose owners are the container's own."""

from __future__ import annotations

import os

from isolate.errors import HostError
from isolate.linux import idmap, mount, namespaces, staged
from isolate.native import errand, overlay
from isolate.native.roots import COPY
from isolate.rootfs.cache import remove_tree
from isolate.rootfs.copied import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.linux.idmap import Range
    from isolate.rootfs.copied import Owner

_UNMAPPED = 65534  # how ids are seen that the map lacks: /proc/sys/kernel/overflowuid


def make_for(pid: int, layers: Sequence[str], directory: str) -> None:
    """Root's copy for the container of `pid`, its owners shifted by the user map of `pid`.

    The copy is its writable layer too, so one that a former run has left is kept. Raises OSError.
    """
    owner = _shifted(idmap.of_process(pid, "uid"), idmap.of_process(pid, "gid"))
    _make(layers, directory, owner, lambda: None)


def make_inside(pid: int, layers: Sequence[str], directory: str) -> None:
    """An ordinary user's copy, made with the rights of root inside the user namespace of `pid`.

    Raises OSError; HostError for what such a user can't copy.
    """
    if len(layers) > 1:
        raise HostError(
            "a root of several layers needs an overlay, which this kernel lets only root mount",
            hint="use Linux 5.11 or later, or a root of one layer",
        )
    uids, gids = idmap.of_process(pid, "uid"), idmap.of_process(pid, "gid")

    def become_root_inside() -> None:
        namespaces.enter(pid, os.pidfd_open(pid), namespaces.CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    try:
        _make(layers, directory, _same(uids, gids), become_root_inside)
    except PermissionError as error:
        raise HostError(
            f"the root can't be copied: {error.filename or layers[0]}: {error.strerror}",
            hint="every file must be readable for you; from Linux 5.11 on nothing is copied",
        ) from error


def _make(layers: Sequence[str], directory: str, owner: Owner, prepare: Callable[[], None]) -> None:
    final = f"{directory}/{COPY}"
    partial = f"{final}.partial"
    if os.path.isdir(final):
        return

    def act() -> None:
        prepare()
        if os.path.lexists(partial):
            remove_tree(partial)
        # Seen without what the host has mounted on it, as the layer of an overlay is.
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mount.make_private("/")
        staged.begin()
        copy(f"/proc/self/fd/{_whole(layers)}", partial, owner)
        os.rename(partial, final)

    errand.run(act)


def _whole(layers: Sequence[str]) -> int:
    if len(layers) == 1:
        return staged.clone_tree(layers[0])
    return overlay.by_mount(layers, "", "", mount.MOUNT_ATTR_RDONLY)


def _shifted(uids: Sequence[Range], gids: Sequence[Range]) -> Owner:
    """Ids of the files are ids inside, as with an id-mapped mount."""

    def owner(uid: int, gid: int) -> tuple[int, int] | None:
        user, group = idmap.outside(uids, uid), idmap.outside(gids, gid)
        return None if user is None or group is None else (user, group)

    return owner


def _same(uids: Sequence[Range], gids: Sequence[Range]) -> Owner:
    """Ids stay as they are seen inside; what belongs to others than the map has becomes root's."""

    def owner(uid: int, gid: int) -> tuple[int, int] | None:
        mapped = idmap.outside(uids, uid) is not None and idmap.outside(gids, gid) is not None
        return (uid, gid) if mapped and _UNMAPPED not in (uid, gid) else None

    return owner

"""A container's writable layer: an overlay that root configures, its owners mapped, no path told.

A layer's owners go through the container's user map by an id-mapped mount (Linux 5.19 for
overlays), so that one set of files serves every container, whatever its range of ids.
"""

from __future__ import annotations

import errno
import os

from isolate.errors import HostError
from isolate.linux import detached, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.state.journal import Journal

UPPER = "upper"
WORK = "work"

_O_PATH = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# Detached mounts as layers, and layers by descriptor: fs/overlayfs of 6.13, fs/namespace.c of 6.15.
_DETACHED_LAYERS = (6, 15)


def make_layer(directory: str, owner: int) -> None:
    """Make the upper and work directories, owned by the container's root."""
    for name in (UPPER, WORK):
        path = f"{directory}/{name}"
        make_directory(path)
        os.chown(path, owner, owner)


def make_directory(path: str) -> None:
    """Make a directory of the layer; one that the container's former run left is kept.

    It lies in the container's own 0700 directory, so nobody else made it. Raises OSError.
    """
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if os.path.islink(path) or not os.path.isdir(path):
            raise


def map_owners(mounts: Sequence[int], userns_fd: int) -> None:
    """Let detached mounts show owners through a user namespace's map. Raises HostError."""
    try:
        for descriptor in mounts:
            mount.mount_setattr(
                "", at=descriptor, set_attributes=mount.MOUNT_ATTR_IDMAP, userns_fd=userns_fd
            )
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise HostError(
            "the filesystem of the root or volume has no id-mapped mounts",
            hint="keep it on ext4, xfs, btrfs, or tmpfs of Linux 6.3; the cache's place is "
            "ISOLATE_CACHE",
        ) from error


def configure(context: int, layers: Sequence[int], directory: str, journal: Journal) -> None:
    """Make the superblock of an fsopen(2) context: detached `layers` below `directory`'s upper.

    Where the kernel takes no detached layers, they are attached below `directory` for the moment
    that this takes, which the journal tells.
    """
    mount.fsconfig_string(context, "source", "overlay")
    if detached.kernel_version() >= _DETACHED_LAYERS:
        _by_descriptors(context, layers, directory)
    else:
        _by_paths(context, layers, directory, journal)


def _by_descriptors(context: int, layers: Sequence[int], directory: str) -> None:
    """The container's mount table then tells no path of the host."""
    # One mount for both: the kernel wants upper and work below the same one.
    tree = mount.open_tree_clone(directory)
    upper = os.open(UPPER, _O_PATH, dir_fd=tree)
    work = os.open(WORK, _O_PATH, dir_fd=tree)
    try:
        for layer in layers:
            mount.fsconfig_fd(context, "lowerdir+", layer)
        mount.fsconfig_fd(context, "upperdir", upper)
        mount.fsconfig_fd(context, "workdir", work)
        mount.fsconfig_create(context)
    finally:  # not before: a detached mount dissolves with its last descriptor
        for descriptor in (tree, upper, work):
            os.close(descriptor)


def _by_paths(context: int, layers: Sequence[int], directory: str, journal: Journal) -> None:
    attached = []
    try:
        for number, layer in enumerate(layers):
            target = f"{directory}/layer.{number}"
            os.mkdir(target, 0o700)
            journal.record("mount", target=target)
            mount.move_mount(layer, target)
            attached.append(target)
        mount.fsconfig_string(context, "lowerdir", ":".join(map(escape, attached)))
        mount.fsconfig_string(context, "upperdir", f"{directory}/{UPPER}")
        mount.fsconfig_string(context, "workdir", f"{directory}/{WORK}")
        mount.fsconfig_create(context)
    finally:  # the overlay has its own copies of the mounts by now
        _each(attached, lambda target: mount.umount2(target, mount.MNT_DETACH))
        _each(attached, os.rmdir)


def by_mount(
    layers: Sequence[str], upper: str, work: str, attributes: int = 0, **options: str
) -> int:
    """An overlay made by mount(2), its directories named by descriptor: a path may hold what ends
    an option. Without `upper` it is read-only. Raises OSError."""
    opened = [os.open(path, _O_PATH) for path in (*layers, upper, work) if path]
    try:
        paths = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
        options["lowerdir"] = ":".join(paths[: len(layers)])
        if upper:
            options["upperdir"], options["workdir"] = paths[len(layers) :]
        return detached.new_filesystem("overlay", attributes, **options)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _each(paths: Sequence[str], act: Callable[[str], None]) -> None:
    for path in paths:
        act(path)


def escape(path: str) -> str:
    """A layer's path as overlayfs wants it in a list joined by colons."""
    return path.replace("\\", "\\\\").replace(":", "\\:")

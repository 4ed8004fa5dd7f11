"""Detached mounts: made and configured first, attached later, by descriptor alone.

The kernel's own (open_tree(2), fsmount(2), mount_setattr(2)), or where it has none, those of a
stage (`isolate.linux.staged`), made by mount(2). Callers needn't know which.
"""

from __future__ import annotations

import os

from isolate.linux import mount
from isolate.linux._libc import AT_FDCWD

# Overlays of id-mapped layers, the youngest part of what a container is made of (Linux 5.19).
_COMPLETE = (5, 19)

_native: bool | None = None


def native() -> bool:
    """Whether the kernel has detached mounts, all that we build on; asked once."""
    global _native  # noqa: PLW0603 - a kernel doesn't change under a process
    if _native is None:
        _native = kernel_version() >= _COMPLETE and mount.has_new_mount_api()
        if not _native:
            # Now: a container's child may have no right to read our files.
            from isolate.linux import staged  # noqa: F401
    return _native


def kernel_version() -> tuple[int, int]:
    """The first two numbers of the kernel's release (uname(2))."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


def begin(stage: int | None = None) -> None:
    """Make mounting possible in this mount namespace, whose mounts are private; on the `stage` that
    another process has made there, if any (`isolate.linux.staged.begin`). Raises OSError."""
    if not native():
        from isolate.linux import staged

        staged.begin(stage)


def new_filesystem(fstype: str, attributes: int = 0, **parameters: str) -> int:
    """A detached mount of a new filesystem instance. Raises OSError."""
    if native():
        return mount.new_filesystem(fstype, attributes, **parameters)
    from isolate.linux import staged

    return staged.new_filesystem(fstype, attributes, **parameters)


def clone_tree(path: str, *, at: int = AT_FDCWD, recursive: bool = False) -> int:
    """A detached copy of the mount at `path`, with those below it where `recursive`; an empty path
    is the place `at` itself. Raises OSError."""
    if native():
        return mount.open_tree_clone(path, at=at, recursive=recursive)
    from isolate.linux import staged

    return staged.clone_tree(path, at=at, recursive=recursive)


def set_attributes(descriptor: int, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes (MOUNT_ATTR_*) to a mount, and to those below it where `recursive`; their
    propagation becomes private. What is set already stays set. Raises OSError."""
    if native():
        # A copy of a shared mount is its peer: what is unmounted below it would go from the host.
        mount.mount_setattr(
            "",
            at=descriptor,
            set_attributes=attributes,
            propagation=mount.MS_PRIVATE,
            recursive=recursive,
        )
        return
    from isolate.linux import staged

    staged.set_attributes(descriptor, attributes, recursive=recursive)


def attach(descriptor: int, where: int) -> None:
    """Attach a detached mount at the place of a descriptor. Raises OSError."""
    if native():
        mount.move_mount(descriptor, "", at=where)
    else:
        mount.mount(f"/proc/self/fd/{descriptor}", f"/proc/self/fd/{where}", None, mount.MS_MOVE)


def attach_on_root(descriptor: int) -> None:
    """Attach a detached mount on top of "/", where no path leads to it. Raises OSError."""
    if native():
        mount.move_mount(descriptor, "/")
    else:
        mount.mount(f"/proc/self/fd/{descriptor}", "/", None, mount.MS_MOVE)


def leave_old_root() -> None:
    """Detach what pivot_root(".", ".") has left on the working directory. Raises OSError."""
    if not native():
        mount.umount2(".", mount.MNT_DETACH)  # the stage, which lies on the old root
    mount.umount2(".", mount.MNT_DETACH)

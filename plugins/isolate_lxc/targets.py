"""Mount points inside the root, made before LXC looks: it can't make one in a read-only root.

It is done by descriptor and inside the root (CVE-2021-30465), while nothing runs in it. What is
made belongs to the container's root user.
"""

from __future__ import annotations

import os

from isolate.errors import LaunchError
from isolate.linux import namespaces, resolve
from isolate.native import errand, userns
from isolate.native.failure import from_child
from isolate.native.mountpoints import KERNEL, on_kernel_filesystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.maps import Maps

_PLAIN = resolve.RESOLVE_BENEATH | resolve.RESOLVE_NO_SYMLINKS | resolve.RESOLVE_NO_MAGICLINKS


def make(root: int, wanted: Sequence[tuple[str, bool]], maps: Maps | None) -> None:
    """Make mount points: pairs of a path and whether it is a directory. Raises LaunchError."""
    inside = [row for row in wanted if not on_kernel_filesystem(row[0])]
    inside += [(path, True) for path in KERNEL]
    _make_all(root, inside, maps)


def make_in_volume(volume: int, wanted: tuple[str, bool], maps: Maps | None) -> None:
    """Make a mount point in a volume, on a way without links: LXC mounts on no other.

    Raises LaunchError.
    """
    path = wanted[0]
    try:
        os.close(resolve.openat2(volume, path, os.O_PATH, resolve=_PLAIN))
    except FileNotFoundError:
        _make_all(volume, [wanted], maps)
    except OSError as error:
        raise LaunchError(
            f"the mount point {path} in a volume: {error.strerror}",
            hint="LXC mounts at no place that a symbolic link of a volume leads to",
        ) from None


def _make_all(root: int, wanted: Sequence[tuple[str, bool]], maps: Maps | None) -> None:
    try:
        _make(root, wanted, maps)
    except OSError as error:
        path = str(error.filename or "")
        raise from_child(f"mount.{path}", error.errno or 0, str(error.strerror), path) from None


def _make(root: int, wanted: Sequence[tuple[str, bool]], maps: Maps | None) -> None:
    if maps is None:
        errand.run(lambda: _act(root, wanted, None))
        return
    with userns.Holder(maps.uids, maps.gids) as pid:
        descriptor = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            errand.run(lambda: _act(root, wanted, descriptor))
        finally:
            os.close(descriptor)


def _act(root: int, wanted: Sequence[tuple[str, bool]], user_namespace: int | None) -> None:
    """In a child: become the container's root, so that what is made is its own."""
    if user_namespace is not None:
        namespaces.setns(user_namespace, namespaces.CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    os.umask(0o022)
    for path, directory in wanted:
        try:
            os.close(resolve.make_target(root, path, directory=directory))
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None

"""Mount points inside the root: made, and found behind symbolic links, before LXC looks.

LXC follows no symbolic link on the way to a mount point, and can't make one in a read-only root.
Both is done here, by descriptor and inside the root (CVE-2021-30465), while nothing runs in it.
What is made belongs to the container's root user.
"""

from __future__ import annotations

import os

from isolate.errors import LaunchError
from isolate.linux import namespaces, resolve
from isolate.native import userns
from isolate.native.channel import pair
from isolate.native.failure import from_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from isolate.native.channel import Channel
    from isolate.native.maps import Maps

_KERNEL = ("/proc", "/sys", "/dev")  # made by LXC, whatever is in the root


def make(root: int, wanted: Sequence[tuple[str, bool]], maps: Maps | None) -> None:
    """Make mount points: pairs of a path and whether it is a directory. Raises LaunchError."""
    inside = [row for row in wanted if not on_kernel_filesystem(row[0])]
    inside += [(path, True) for path in _KERNEL]
    if maps is None:
        _in_child(root, inside, None)
        return
    with userns.Holder(maps.uids, maps.gids) as pid:
        descriptor = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _in_child(root, inside, descriptor)
        finally:
            os.close(descriptor)


def on_kernel_filesystem(path: str) -> bool:
    """Whether it lies on a filesystem that LXC makes afresh."""
    return any(f"{path}/".startswith(f"{each}/") for each in _KERNEL)


def canonical(root: int, path: str) -> str:
    """The path without symbolic links, as seen from inside. Raises LaunchError."""
    try:
        descriptor = resolve.open_in_root(root, path, os.O_PATH)
    except OSError as error:
        raise LaunchError(f"the mount point {path}: {error.strerror}") from None
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _in_child(root: int, wanted: Sequence[tuple[str, bool]], user_namespace: int | None) -> None:
    ours, theirs = pair()
    pid, pidfd = namespaces.clone(0)
    if pid == 0:
        ours.close()
        _make(root, wanted, user_namespace, theirs)
    theirs.close()
    os.close(pidfd)
    try:
        message = ours.receive()
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if message is not None:
        raise from_child(f"mount.{message[2]}", message[0], message[1], message[2])


def _make(
    root: int, wanted: Sequence[tuple[str, bool]], user_namespace: int | None, channel: Channel
) -> NoReturn:
    """As the container's root, so that what is made is its own. Never returns."""
    path = "/"
    try:
        if user_namespace is not None:
            namespaces.setns(user_namespace, namespaces.CLONE_NEWUSER)
            os.setgroups([])
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        os.umask(0o022)
        for path, directory in wanted:
            os.close(resolve.make_target(root, path, directory=directory))
    except OSError as error:
        channel.send(error.errno or 0, str(error.strerror), path)
    finally:
        os._exit(0)

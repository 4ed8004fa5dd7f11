"""Root's mounts for a container on a kernel whose mounts can't be handed over detached.

They are made in the child's own mount namespace, by a process of ours that enters it with all
rights of the host's root: nothing is mounted on the host, so a crash leaves no mount behind. The
child gets their descriptors, and attaches them as it would attach detached ones.
"""

from __future__ import annotations

import os

from isolate.linux import idmap, mount, namespaces, staged
from isolate.native import errand
from isolate.native.identity_steps import PREPARED
from isolate.native.rootfs_steps import STAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isolate.native.channel import Channel


def hand_over(pid: int, channel: Channel, mounts: Mapping[str, Callable[[], int]]) -> None:
    """Make `mounts` in the namespace of the child `pid`, and send them to it by their names.
    Raises OSError."""

    def make_all() -> None:
        owner = idmap.outside(idmap.of_process(pid, "uid"), 0) or 0
        _enter_mounts(pid)
        mount.make_private("/")
        channel.send(PREPARED, STAGE, descriptor=staged.begin(owner=owner))
        for name, make in mounts.items():
            channel.send(PREPARED, name, descriptor=make())

    errand.run(make_all)


def _enter_mounts(pid: int) -> None:
    """setns(2) into the mount namespace, below the root that the process has in it: the
    namespace's own is another where isolate runs in a chroot."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    namespaces.enter(pid, os.pidfd_open(pid), namespaces.CLONE_NEWNS)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)

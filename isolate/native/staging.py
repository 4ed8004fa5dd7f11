"""Root's mounts for a container on a kernel whose mounts can't be handed over detached.

They are made in the child's own mount namespace, by a process of ours that enters it with all
rights of the host's root: nothing is mounted on the host, so a crash leaves no mount behind. The
child gets their descriptors, and attaches them as it would attach detached ones.
"""

from __future__ import annotations

import os

from isolate.linux import detached, idmap, mount, namespaces, staged
from isolate.native import errand
from isolate.native.identity_steps import PREPARED
from isolate.native.rootfs_steps import STAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isolate.native.channel import Channel
    from isolate.native.mount_steps import Bind
    from isolate.native.roots import PreparedRoot


def hand_over(pid: int, channel: Channel, root: PreparedRoot, binds: Sequence[Bind]) -> None:
    """Make the root and the volumes of the child `pid`, and send them to it; nothing happens where
    they were prepared before the clone, or where the child makes them itself. Raises OSError."""
    if detached.native() or os.geteuid() != 0:
        return
    mounts = {**root.staged(), **{bind.name: bind.open for bind in binds}}
    errand.run(lambda: _make(pid, channel, mounts))


def _make(pid: int, channel: Channel, mounts: Mapping[str, Callable[[], int]]) -> None:
    owner = idmap.outside(idmap.of_process(pid, "uid"), 0) or 0
    enter(pid, "mnt", namespaces.CLONE_NEWNS)
    mount.make_private("/")
    channel.send(PREPARED, STAGE, descriptor=staged.begin(owner=owner))
    for name, make in mounts.items():
        channel.send(PREPARED, name, descriptor=make())


def enter(pid: int, file: str, flag: int) -> None:
    """Move this process into a namespace of another. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/ns/{file}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(descriptor, flag)
    finally:
        os.close(descriptor)

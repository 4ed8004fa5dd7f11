"""The root mount of a native container: who prepares it, and when it is configured.

Root prepares detached mounts before the clone, which the child inherits as descriptors, and
configures them once the child's user namespace has its map: then file owners can go through that
map (id-mapped mounts). An ordinary user has no such right: the child makes its own overlay.

A kernel without such mounts gets them made in the child's mount namespace (`staging`). Nor can it
map owners: a container with a user namespace gets a copy of the files, with shifted owners.
"""

from __future__ import annotations

import os

from isolate.backend.types import Problem
from isolate.linux import detached, idmap, mount
from isolate.native import overlay, rootfs_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.backend.types import Context
    from isolate.linux.idmap import Range
    from isolate.native.channel import Channel
    from isolate.native.mount_steps import Bind
    from isolate.native.prepared import Prepared
    from isolate.rootfs import Root
    from isolate.spec.model import Spec


COPY = "root"  # the container's directory of copied files
_USER_OVERLAYS = (5, 11)  # overlays in user namespaces


def problems_with_detached_mounts() -> list[Problem]:
    """What this kernel lacks for a backend that can't do without mounts of no namespace."""
    if detached.native():
        return []
    return [
        Problem(
            what="the kernel lacks detached mounts with mapped owners (mount_setattr(2))",
            remedy="use Linux 5.19 or later; an outer container's filter may hide them. "
            "namespaces and chroot do without",
        )
    ]


class PreparedRoot:
    """The step that attaches the root, and what the launcher does once the maps are written."""

    def __init__(self, step: rootfs_steps.AttachRoot) -> None:
        self.step = step

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        """The launcher's half. `ranges` is the user map, None without a user namespace."""

    def hand_over(self, pid: int, channel: Channel, binds: Sequence[Bind]) -> None:
        """Make what root couldn't prepare before the clone, and send it to the child. Nothing
        happens where it could, or where the child makes its mounts itself. Raises OSError."""
        if os.geteuid() == 0 and not detached.native():
            from isolate.native import staging

            staging.hand_over(pid, channel, {**self.staged(), **{b.name: b.open for b in binds}})

    def staged(self) -> dict[str, Callable[[], int]]:
        """How the root is made in the child's mount namespace, by the name of its descriptor."""
        return {}


class _RootOverlay(PreparedRoot):
    """An overlay that root mounts, with its layers seen through the container's user map."""

    def __init__(self, context: Context, prepared: Prepared) -> None:
        layers = context.root.layers
        super().__init__(rootfs_steps.AttachRoot(f"an overlay of {' over '.join(layers)}"))
        self._context = context
        self._prepared = prepared
        self._layers = []
        for number, layer in enumerate(layers):
            prepared[f"root.layer.{number}"] = mount.open_tree_clone(layer)
            self._layers.append(prepared[f"root.layer.{number}"])
        prepared[rootfs_steps.ROOT_CONTEXT] = mount.fsopen("overlay")

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        owner = 0
        if ranges is not None:
            owner = idmap.outside(ranges, 0) or 0
            self._map_owners(pid, binds)
        directory, journal = self._context.directory, self._context.journal
        overlay.make_layer(directory, owner)
        overlay.configure(
            self._prepared[rootfs_steps.ROOT_CONTEXT], self._layers, directory, journal
        )

    def _map_owners(self, pid: int, binds: Sequence[Bind]) -> None:
        mapped = [self._prepared[bind.name] for bind in binds if bind.idmap]
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            overlay.map_owners([*self._layers, *mapped], namespace)
        finally:
            os.close(namespace)


class _UserOverlay(PreparedRoot):
    """An overlay that an ordinary user's child mounts in its own user namespace."""

    def __init__(self, root: Root, directory: str) -> None:
        upper, work = f"{directory}/{overlay.UPPER}", f"{directory}/{overlay.WORK}"
        overlay.make_directory(upper)
        overlay.make_directory(work)
        super().__init__(rootfs_steps.AttachOwnOverlay(root.layers, upper, work))


class _StagedRoot(PreparedRoot):
    """Root's own, where the kernel has no detached mounts: an overlay, or with a user namespace a
    copy whose owners are the container's."""

    def __init__(self, context: Context) -> None:
        super().__init__(rootfs_steps.AttachRoot(f"{context.root.source}, mounted for this run"))
        self._layers = context.root.layers
        self._directory = context.directory
        self._copied = False

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        self._copied = ranges is not None
        if self._copied:
            from isolate.native import copies

            copies.make_for(pid, self._layers, self._directory)
        else:
            overlay.make_layer(self._directory, 0)

    def staged(self) -> dict[str, Callable[[], int]]:
        return {rootfs_steps.ROOT_MOUNT: self._mount}

    def _mount(self) -> int:
        if self._copied:
            return rootfs_steps.AttachOwnCopy(f"{self._directory}/{COPY}").open({})
        upper, work = f"{self._directory}/{overlay.UPPER}", f"{self._directory}/{overlay.WORK}"
        return overlay.by_mount(self._layers, upper, work, mount.MOUNT_ATTR_NODEV)


class _UserCopy(PreparedRoot):
    """An ordinary user's, where the kernel lets no user namespace mount an overlay."""

    def __init__(self, root: Root, directory: str) -> None:
        super().__init__(rootfs_steps.AttachOwnCopy(f"{directory}/{COPY}"))
        self._layers = root.layers
        self._directory = directory

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        from isolate.native import copies

        copies.make_inside(pid, self._layers, self._directory)


def copied(*, users: bool) -> bool:
    """Whether a container, with a user namespace or without, gets a copy of its root's files."""
    if os.geteuid() == 0:
        return users and not detached.native()
    return detached.kernel_version() < _USER_OVERLAYS


def preview(spec: Spec, *, users: bool = False) -> PreparedRoot:
    """The root step of a plan that is only shown; `users` where it makes a user namespace."""
    what = "the host's tree, read-only" if spec.root.source == "host" else f"{spec.root.source}"
    if spec.root.source != "host" and copied(users=users):
        what = f"a copy of {what} with the container's owners (this kernel can't map them)"
    return PreparedRoot(rootfs_steps.AttachRoot(what))


def prepare(context: Context, prepared: Prepared) -> PreparedRoot:
    """The root of a container that is being created; its descriptors go to `prepared`."""
    root = context.root
    if root.kind == "host":
        return PreparedRoot(rootfs_steps.AttachOwnBind("/"))
    if os.geteuid() == 0:
        return _RootOverlay(context, prepared) if detached.native() else _StagedRoot(context)
    if copied(users=True):
        return _UserCopy(root, context.directory)
    return _UserOverlay(root, context.directory)

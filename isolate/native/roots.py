"""The root mount of a native container: who prepares it, and when it is configured.

Root prepares detached mounts before the clone, which the child inherits as descriptors, and
configures them once the child's user namespace has its map: then file owners can go through that
map (id-mapped mounts). An ordinary user has no such right: the child makes its own overlay.
"""

from __future__ import annotations

import errno
import os

from isolate.errors import HostError
from isolate.linux import idmap, mount
from isolate.native import rootfs_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.backend.types import Context
    from isolate.linux.idmap import Range
    from isolate.native.mount_steps import Bind
    from isolate.native.prepared import Prepared
    from isolate.rootfs import Root
    from isolate.spec.model import Spec

UPPER = "upper"
WORK = "work"


def supported() -> bool:
    """Whether the kernel has the mount API that all this is made of."""
    return mount.has_new_mount_api()


class PreparedRoot:
    """The step that attaches the root, and what the launcher does once the maps are written."""

    def __init__(self, step: rootfs_steps.AttachRoot) -> None:
        self.step = step

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        """The launcher's half. `ranges` is the user map, None without a user namespace."""


class _RootOverlay(PreparedRoot):
    """An overlay that root mounts, with its layers seen through the container's user map."""

    def __init__(self, root: Root, directory: str, prepared: Prepared) -> None:
        super().__init__(rootfs_steps.AttachRoot(f"an overlay of {' over '.join(root.layers)}"))
        self._directory = directory
        self._prepared = prepared
        self._layers = []
        for number, layer in enumerate(root.layers):
            prepared[f"root.layer.{number}"] = mount.open_tree_clone(layer)
            self._layers.append(prepared[f"root.layer.{number}"])
        prepared[rootfs_steps.ROOT_CONTEXT] = mount.fsopen("overlay")

    def configure(self, pid: int, ranges: Sequence[Range] | None, binds: Sequence[Bind]) -> None:
        owner = 0
        if ranges is not None:
            owner = idmap.outside(ranges, 0) or 0
            self._map_owners(pid, [*self._layers, *self._mapped_binds(binds)])
        for name in (UPPER, WORK):
            path = f"{self._directory}/{name}"
            os.mkdir(path, 0o755)
            os.chown(path, owner, owner)
        self._make_superblock(self._prepared[rootfs_steps.ROOT_CONTEXT])

    def _mapped_binds(self, binds: Sequence[Bind]) -> list[int]:
        return [self._prepared[bind.name] for bind in binds if bind.idmap]

    @staticmethod
    def _map_owners(pid: int, mounts: Sequence[int]) -> None:
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for descriptor in mounts:
                mount.mount_setattr(
                    "", at=descriptor, set_attributes=mount.MOUNT_ATTR_IDMAP, userns_fd=namespace
                )
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise HostError(
                "the filesystem of the root or volume has no id-mapped mounts",
                hint="keep it on ext4, xfs, btrfs, or tmpfs of Linux 6.3; the cache's place is "
                "ISOLATE_CACHE",
            ) from error
        finally:
            os.close(namespace)

    def _make_superblock(self, context: int) -> None:
        """By descriptors, so that the container's mount table doesn't tell the host's paths."""
        mount.fsconfig_string(context, "source", "overlay")
        # One mount for both: the kernel wants upper and work below the same one.
        tree = mount.open_tree_clone(self._directory)
        upper = os.open(UPPER, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
        work = os.open(WORK, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
        try:
            for layer in self._layers:
                mount.fsconfig_fd(context, "lowerdir+", layer)
            mount.fsconfig_fd(context, "upperdir", upper)
            mount.fsconfig_fd(context, "workdir", work)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._name_layers(context)  # before Linux 6.13
        try:
            mount.fsconfig_create(context)
        finally:  # not before: a detached mount dissolves with its last descriptor
            for descriptor in (tree, upper, work):
                os.close(descriptor)

    def _name_layers(self, context: int) -> None:
        layers = ":".join(f"/proc/self/fd/{layer}" for layer in self._layers)
        mount.fsconfig_string(context, "lowerdir", layers)
        mount.fsconfig_string(context, "upperdir", f"{self._directory}/{UPPER}")
        mount.fsconfig_string(context, "workdir", f"{self._directory}/{WORK}")


class _UserOverlay(PreparedRoot):
    """An overlay that an ordinary user's child mounts in its own user namespace."""

    def __init__(self, root: Root, directory: str) -> None:
        upper, work = f"{directory}/{UPPER}", f"{directory}/{WORK}"
        os.mkdir(upper, 0o755)
        os.mkdir(work, 0o755)
        super().__init__(rootfs_steps.AttachOwnOverlay(root.layers, upper, work))


def preview(spec: Spec) -> PreparedRoot:
    """The root step of a plan that is only shown."""
    what = "the host's tree, read-only" if spec.root.source == "host" else f"{spec.root.source}"
    return PreparedRoot(rootfs_steps.AttachRoot(what))


def prepare(context: Context, prepared: Prepared) -> PreparedRoot:
    """The root of a container that is being created; its descriptors go to `prepared`."""
    root = context.root
    if root.kind == "host":
        return PreparedRoot(rootfs_steps.AttachOwnBind("/"))
    if os.geteuid() == 0:
        return _RootOverlay(root, context.directory, prepared)
    return _UserOverlay(root, context.directory)

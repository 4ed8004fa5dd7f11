"""Steps that attach the root filesystem and enter it: pivot_root(2), or chroot(2)."""

from __future__ import annotations

import os
import sys

from isolate.linux import detached, mount
from isolate.native import overlay
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from isolate.native.step import Child

ROOT_MOUNT = "root.mount"  # a detached mount, prepared by the launcher
ROOT_CONTEXT = "root.context"  # a filesystem context that the launcher configures
STAGE = "mount.stage"  # the stage that root has made, where the kernel has no detached mounts


class PrivatePropagation(Step):
    """No mount made here reaches the host, and none of the host's reaches here."""

    name = "mount.private"

    def describe(self) -> str:
        return "make the propagation of every mount private, recursively"

    def run(self, child: Child) -> None:
        mount.make_private("/")
        detached.begin(child.prepared.get(STAGE))


class AttachRoot(Step):
    """Attach the root on top of "/", where only a descriptor leads to it.

    Absolute paths still lead to the host's tree, from which sources of mounts are taken, until
    the pivot. No directory is needed as a mount point, and nothing is mounted on the host.
    """

    name = "root.attach"
    __slots__ = ("_attributes", "what")

    def __init__(self, what: str, attributes: int = mount.MOUNT_ATTR_NODEV) -> None:
        self.what = what
        self._attributes = attributes

    def describe(self) -> str:
        return f"attach {self.what} as the new root, reachable by a descriptor only"

    def run(self, child: Child) -> None:
        child.root = self.open(child.prepared)
        detached.attach_on_root(child.root)

    def open(self, prepared: Mapping[str, int]) -> int:
        """The root as a detached mount, from what the launcher has prepared for it."""
        if ROOT_CONTEXT in prepared:
            return mount.fsmount(prepared[ROOT_CONTEXT], self._attributes)
        return prepared[ROOT_MOUNT]


class AttachBelow(Step):
    """Attach the root at a directory of the host's tree, as chroot(8) is used: one who leaves it
    is in that tree. The mount namespace is the child's, so that nothing is mounted on the host."""

    name = "root.attach"
    __slots__ = ("_attach", "_directory")

    def __init__(self, attach: AttachRoot, directory: str) -> None:
        self._attach = attach
        self._directory = directory

    def describe(self) -> str:
        return f"attach {self._attach.what} at {self._directory or 'a directory of the host'}"

    def run(self, child: Child) -> None:
        child.root = self._attach.open(child.prepared)
        where = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        detached.attach(child.root, where)
        os.close(where)


class AttachOwnOverlay(AttachRoot):
    """The overlay of an unprivileged user, made inside its own user namespace (Linux 5.11)."""

    __slots__ = ("_layers", "_upper", "_work")

    def __init__(self, layers: tuple[str, ...], upper: str, work: str) -> None:
        super().__init__(f"an overlay of {' over '.join(layers)}")
        self._layers = layers
        self._upper = upper
        self._work = work

    def open(self, prepared: Mapping[str, int]) -> int:
        if not detached.native():
            return overlay.by_mount(
                self._layers, self._upper, self._work, self._attributes, userxattr=""
            )
        context = mount.fsopen("overlay")
        mount.fsconfig_string(context, "source", "overlay")
        mount.fsconfig_string(context, "lowerdir", ":".join(map(overlay.escape, self._layers)))
        if self._upper:
            mount.fsconfig_string(context, "upperdir", self._upper)
            mount.fsconfig_string(context, "workdir", self._work)
        mount.fsconfig_flag(context, "userxattr")
        mount.fsconfig_create(context)
        return mount.fsmount(context, self._attributes)


class AttachOwnBind(AttachRoot):
    """A directory of the host as the root, read-only, with what is mounted below it."""

    __slots__ = ("_source",)

    def __init__(self, source: str) -> None:
        super().__init__(f"{source}, read-only")
        self._source = source

    def open(self, prepared: Mapping[str, int]) -> int:
        descriptor = detached.clone_tree(self._source, recursive=True)
        attributes = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOSUID
        detached.set_attributes(descriptor, attributes, recursive=True)
        return descriptor


class AttachOwnCopy(AttachRoot):
    """A directory of the container's own as the root: what was copied for it."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        super().__init__("a copy of the root's files, made for this container")
        self._path = path

    def open(self, prepared: Mapping[str, int]) -> int:
        descriptor = detached.clone_tree(self._path)
        detached.set_attributes(descriptor, self._attributes)
        return descriptor


def _import_nothing_more() -> None:
    """From here on a path of ours leads into the container, whose files must not become our code:
    a late import would run them before any right is dropped."""
    sys.path.clear()
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "BuiltinImporter"
    ]


class PivotRoot(Step):
    """The fence: the old root is detached, and no path or descriptor leads back."""

    name = "root.pivot"

    def describe(self) -> str:
        return "pivot_root into the new root and detach the old one"

    def run(self, child: Child) -> None:
        _import_nothing_more()
        os.fchdir(child.root)
        mount.pivot_root(".", ".")
        detached.leave_old_root()
        os.chdir("/")


class Chroot(Step):
    """chroot(2): a changed root directory, which is no fence against root inside."""

    name = "root.chroot"

    def describe(self) -> str:
        return "chroot into the new root"

    def run(self, child: Child) -> None:
        _import_nothing_more()
        os.fchdir(child.root)
        os.chroot(".")
        os.chdir("/")


class Workdir(Step):
    """The working directory, verified to lie inside (CVE-2024-21626)."""

    name = "process.cwd"
    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def describe(self) -> str:
        return f"change the working directory to {self._path} and verify that it lies inside"

    def run(self, child: Child) -> None:
        os.chdir(self._path)
        # getcwd(3) fails with ENOENT, or says "(unreachable)", outside the root.
        where = os.getcwd()
        if not where.startswith("/"):
            raise StepError(f"the working directory {self._path} lies outside the root")

"""What is done around the runtime: a mount namespace in which it finds what it can work with.

Nothing is mounted on the host. runc enters the root by its path as a user who isn't the host's
root, and no such path leads through the state directory (mode 0700); so the root is mounted on a
directory that everyone may pass, which only this mount namespace covers.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux import descriptors, mount, signals
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.step import Child

# One of them is to be covered, and has nothing that the runtime needs. The last is everywhere.
_STAGES = ("/mnt", "/media", "/srv", "/opt", "/tmp")


def choose_stage(*needed: str) -> str:
    """A directory to cover, which is on the way to none of `needed`. Raises StepError."""
    for path in _STAGES:
        passable = os.path.isdir(path) and os.stat(path).st_mode & 0o001
        if passable and not any(f"{each}/".startswith(f"{path}/") for each in needed):
            return path
    raise StepError(f"none of {', '.join(_STAGES)} can be covered for the runtime's root")


class Unmount(Step):
    """Take a mount out of this mount namespace."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"view.unmount.{self._path}"

    def describe(self) -> str:
        return f"unmount {self._path}, for this runtime only: it takes no hybrid cgroups"

    def run(self, child: Child) -> None:
        mount.umount2(self._path, mount.MNT_DETACH)


class OwnCgroup(Step):
    """Show our own group as the root of a cgroup hierarchy."""

    __slots__ = ("_directory", "_mountpoint")

    def __init__(self, directory: str, mountpoint: str) -> None:
        self._directory = directory
        self._mountpoint = mountpoint

    @property
    def name(self) -> str:
        return f"view.cgroup.{self._mountpoint}"

    def describe(self) -> str:
        return f"show {self._directory} as {self._mountpoint}, for this runtime only"

    def run(self, child: Child) -> None:
        mount.mount(self._directory, self._mountpoint, None, mount.MS_BIND)


class Stage(Step):
    """Cover a directory with an empty filesystem, and attach there what was prepared."""

    name = "view.stage"
    __slots__ = ("_path", "_places")

    def __init__(self, path: str, places: Sequence[tuple[str, str]]) -> None:
        """`places`: pairs of a prepared mount's name and where it is attached below `path`."""
        self._path = path
        self._places = places

    def describe(self) -> str:
        names = ", ".join(name for _prepared, name in self._places)
        return f"cover {self._path}, for this runtime only, and attach there: {names}"

    def run(self, child: Child) -> None:
        cover = mount.new_filesystem("tmpfs", mount.MOUNT_ATTR_NOEXEC, mode="0711", size="1m")
        mount.move_mount(cover, self._path)
        os.close(cover)
        for prepared, name in self._places:
            target = f"{self._path}/{name}"
            # A copy of a shared mount is its peer: what happens below would happen on the host.
            mount.mount_setattr(
                "", at=child.prepared[prepared], propagation=mount.MS_PRIVATE, recursive=True
            )
            if stat.S_ISDIR(os.fstat(child.prepared[prepared]).st_mode):
                os.mkdir(target, 0o711)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            mount.move_mount(child.prepared[prepared], target)


class BareHost(Step):
    """Take the kernel's filesystems out of the view of the host's tree that is the root.

    They are mounted afresh in the container; and runc takes a cgroup hierarchy that it finds
    mounted below the root for the one to work in.
    """

    name = "view.bare"
    __slots__ = ("_root",)

    def __init__(self, root: str) -> None:
        self._root = root

    def describe(self) -> str:
        return "take proc, sys and dev out of the view of the host's tree"

    def run(self, child: Child) -> None:
        for name in ("proc", "sys", "dev"):
            try:
                mount.umount2(f"{self._root}/{name}", mount.MNT_DETACH)
            except OSError as error:
                if error.errno != errno.EINVAL:  # nothing is mounted there
                    raise


class Become(Step):
    """Execute the runtime, with nothing of ours but the standard streams."""

    name = "runtime"
    __slots__ = ("_argv", "_stdio")

    def __init__(self, argv: Sequence[str], stdio: tuple[int, int, int]) -> None:
        self._argv = list(argv)
        self._stdio = stdio

    def describe(self) -> str:
        return " ".join(self._argv)

    def run(self, child: Child) -> None:
        descriptors.move_to_stdio(self._stdio)
        descriptors.cloexec_from(3)
        signals.reset_all()
        # Not our environment: runtimes read LISTEN_FDS, NOTIFY_SOCKET and others from theirs.
        os.execve(self._argv[0], self._argv, {"PATH": os.defpath, "LANG": "C.UTF-8"})

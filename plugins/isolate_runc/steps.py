"""What is done around the runtime: a mount namespace in which it finds what it can work with."""

from __future__ import annotations

import errno
import os

from isolate.linux import descriptors, mount, signals
from isolate.native.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.step import Child


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

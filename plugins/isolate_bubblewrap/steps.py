"""What is done before bwrap is executed: its root and volumes put where it finds them by path.

All of it happens in the container's user namespace and in a mount namespace that ends with bwrap,
so bwrap is never run as the host's root, and nothing is mounted on the host.
"""

from __future__ import annotations

import os
import stat

from isolate.linux import descriptors, resolve, signals
from isolate.native import mount_steps, mountpoints
from isolate.native.process_steps import START
from isolate.native.step import Step
from isolate.spec import defaults
from isolate_bubblewrap import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.native.rootfs_steps import AttachRoot
    from isolate.native.step import Child
    from isolate.spec.model import Spec
    from isolate_bubblewrap.command import Choices

INFO = "bwrap.info"  # prepared descriptors
FILTER = "bwrap.seccomp"


class Sources(Step):
    """Open what bwrap will bind: the root, the volumes, the devices."""

    name = "bwrap.sources"
    __slots__ = ("_root", "_spec")

    def __init__(self, root: AttachRoot, spec: Spec) -> None:
        self._root = root
        self._spec = spec

    def describe(self) -> str:
        return "open the root, the volumes and the devices, as mounts that are attached nowhere"

    def run(self, child: Child) -> None:
        child.root = child.prepared[command.ROOT] = self._root.open(child.prepared)
        for number, asked in enumerate(self._spec.mounts):
            if asked.type == "bind":
                bind = mount_steps.Bind(asked)
                opened = child.prepared.get(bind.name)  # by the launcher, where that is root
                name = command.mount_name(number)
                child.prepared[name] = bind.open() if opened is None else opened
        for number, device in enumerate(self._spec.devices):
            opened = mount_steps.open_device(device.path, None)
            child.prepared[command.device_name(number)] = opened


class MountPoints(Step):
    """Make the mount points in the root as its own root user, and find them behind its links."""

    name = "bwrap.mount_points"
    __slots__ = ("_spec", "masked", "points")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.points: dict[str, str] = {}
        self.masked: list[tuple[str, bool]] = []

    def describe(self) -> str:
        return "make the mount points in the root, and resolve its symbolic links"

    def run(self, child: Child) -> None:
        for path, directory in self._wanted(child):
            os.close(resolve.make_target(child.root, path, directory=directory))
            self.points[path] = mountpoints.canonical(child.root, path)
        self.masked = [*masked(self._spec), *self._masked_in(child)]

    def _wanted(self, child: Child) -> list[tuple[str, bool]]:
        wanted = [(path, True) for path in mountpoints.KERNEL]
        inside = mountpoints.resolvable(self._spec)
        for number, asked in enumerate(self._spec.mounts):
            if asked.target in inside:
                source = child.prepared.get(command.mount_name(number))
                wanted.append((asked.target, source is None or _is_directory(source)))
        targets = [device.target or device.path for device in self._spec.devices]
        return wanted + [
            (path, False) for path in targets if not mountpoints.on_kernel_filesystem(path)
        ]

    def _masked_in(self, child: Child) -> list[tuple[str, bool]]:
        """The paths to hide in the root or in a volume, found behind its links.

        What lies behind a link from one into the other isn't found: `arrival` refuses that.
        """
        found = []
        for path in self._spec.privileges.masked_paths:
            if mountpoints.on_kernel_filesystem(path):
                continue
            top, tree = self._tree_of(child, path)
            below = path.removeprefix(top)
            try:
                descriptor = resolve.open_in_root(tree, below, os.O_PATH)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # not there, or hidden: nobody inside has more rights than its root
            place = self.points.get(top, top) + mountpoints.canonical(tree, below)
            found.append((place, _is_directory(descriptor)))
            os.close(descriptor)
        return found

    def _tree_of(self, child: Child, path: str) -> tuple[str, int]:
        """The mount point of the volume that shows a path, and the volume; "" and the root."""
        for number, asked in reversed(list(enumerate(self._spec.mounts))):
            if asked.type == "bind" and f"{path}/".startswith(f"{asked.target.rstrip('/')}/"):
                return asked.target.rstrip("/"), child.prepared[command.mount_name(number)]
        return "", child.root


def masked(spec: Spec) -> list[tuple[str, bool]]:
    """The paths of proc to hide, of those that exist, each with whether it is a directory. /sys is
    empty anyway."""
    return [
        (path, os.path.isdir(path))
        for path in (*defaults.MASKED_PATHS, *spec.privileges.masked_paths)
        if path.startswith("/proc/") and os.path.exists(path)
    ]


def _is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


class Bwrap(Step):
    """Execute bwrap, with the program's streams and what its options name."""

    name = "bwrap"
    __slots__ = ("_binary", "_chosen", "_points", "_spec", "_stdio")

    def __init__(
        self,
        binary: str,
        spec: Spec,
        chosen: Choices,
        points: MountPoints,
        stdio: tuple[int, int, int],
    ) -> None:
        self._binary = binary
        self._spec = spec
        self._chosen = chosen
        self._points = points
        self._stdio = stdio

    def describe(self) -> str:
        import shlex

        found = command.Found(
            home="HOME",
            points={},
            masked=masked(self._spec),
            descriptors={"info": 3, "block": 4, "seccomp": 5},
        )
        words = [word for option in self._options(found) for word in option]
        return shlex.join([self._binary, *words, "--", *self._spec.process.args])

    def _options(self, found: command.Found) -> list[list[str]]:
        return command.options(self._spec, self._chosen, found)

    def run(self, child: Child) -> None:
        own = {"info": child.prepared[INFO], "block": child.prepared[START]}
        own |= {"seccomp": child.prepared[FILTER]} if self._chosen.filtered else {}
        found = command.Found(
            home=child.home,
            points=self._points.points,
            masked=self._points.masked,
            descriptors=own,
        )
        options = memory(
            b"".join(
                os.fsencode(word) + b"\0" for option in self._options(found) for word in option
            )
        )
        descriptors.move_to_stdio(self._stdio)
        descriptors.cloexec_from(3)
        for descriptor in (options, *own.values()):
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - os has it so
        signals.reset_all()
        # The options go by a descriptor: the environment in them is nobody else's business.
        argv = [self._binary, "--args", str(options), "--", *self._spec.process.args]
        os.execve(self._binary, argv, {"PATH": os.defpath, "LANG": "C.UTF-8"})


def memory(content: bytes) -> int:
    """An anonymous file that reads from its beginning."""
    descriptor = os.memfd_create("isolate", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

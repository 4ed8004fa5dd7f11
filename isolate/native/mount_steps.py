"""Steps that mount below the new root. Every target is resolved inside it, by descriptor."""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux import detached, mount, resolve
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.native.step import Child
    from isolate.spec.model import Mount

SAFE = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC


def _attach(child: Child, mount_fd: int, target: str, *, directory: bool) -> None:
    """Attach a detached mount at a target that is made where it is missing (CVE-2021-30465)."""
    where = resolve.make_target(child.root, target, directory=directory)
    try:
        _refuse_kernel_filesystem(child, where, target)
        detached.attach(mount_fd, where)
    finally:
        os.close(where)
        os.close(mount_fd)


def _refuse_kernel_filesystem(child: Child, where: int, target: str) -> None:
    """Nothing may cover proc: a write of ours would go astray (CVE-2025-52881)."""
    if child.proc >= 0 and os.fstat(where).st_dev == os.fstat(child.proc).st_dev:
        raise StepError(f"{target} lies on the container's /proc, where nothing may be mounted")


class Filesystem(Step):
    """A fresh instance of a kernel filesystem."""

    __slots__ = ("_attributes", "_fstype", "_parameters", "_target")

    def __init__(self, fstype: str, target: str, attributes: int = SAFE, **parameters: str) -> None:
        self._fstype = fstype
        self._target = target
        self._attributes = attributes
        self._parameters = parameters

    @property
    def name(self) -> str:
        return f"mount.{self._target}"

    def describe(self) -> str:
        options = "".join(f" {key}={value}" for key, value in self._parameters.items())
        return f"mount a fresh {self._fstype} at {self._target}{options}"

    def run(self, child: Child) -> None:
        made = detached.new_filesystem(self._fstype, self._attributes, **self._parameters)
        _attach(child, made, self._target, directory=True)


class Proc(Step):
    """The proc of the container's own process ids; its descriptor is kept for what follows."""

    name = "mount./proc"

    def describe(self) -> str:
        return "mount a fresh proc at /proc"

    def run(self, child: Child) -> None:
        made = detached.new_filesystem("proc", SAFE)
        where = resolve.make_target(child.root, "/proc", directory=True)
        detached.attach(made, where)
        os.close(where)
        child.proc = made


class HostTree(Step):
    """A directory of the host with what is mounted below: where a fresh filesystem can't be."""

    __slots__ = ("_path", "_readonly")

    def __init__(self, path: str, *, readonly: bool = True) -> None:
        self._path = path
        self._readonly = readonly

    @property
    def name(self) -> str:
        return f"mount.{self._path}"

    def describe(self) -> str:
        mode = "read-only" if self._readonly else "read-write"
        return f"bind the host's {self._path}, {mode}, with what is mounted below"

    def run(self, child: Child) -> None:
        made = detached.clone_tree(self._path, recursive=True)
        if self._readonly:
            detached.set_attributes(made, mount.MOUNT_ATTR_RDONLY | SAFE, recursive=True)
        where = resolve.make_target(child.root, self._path, directory=True)
        detached.attach(made, where)
        os.close(where)
        if self._path == "/proc":
            child.proc = made
        else:
            os.close(made)


class DeviceNode(Step):
    """A device node of the host, bound: a user namespace may not mknod(2)."""

    __slots__ = ("_number", "_path", "_target")

    def __init__(self, path: str, target: str, number: int | None = None) -> None:
        self._path = path
        self._target = target
        self._number = number

    @property
    def name(self) -> str:
        return f"device.{self._target}"

    def describe(self) -> str:
        return f"bind the host's {self._path} at {self._target}"

    def run(self, child: Child) -> None:
        made = open_device(self._path, self._number)
        _attach(child, made, self._target, directory=False)


def open_device(path: str, number: int | None) -> int:
    """A detached copy of a device node's mount, checked to be that device (CVE-2025-31133)."""
    made = detached.clone_tree(path)
    found = os.fstat(made)
    device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    if not device or (number is not None and found.st_rdev != number):
        os.close(made)
        raise StepError(f"{path} of the host is not the device that it should be")
    return made


class Symlinks(Step):
    """The customary links of /dev (OCI runtime config-linux.md, Default Devices)."""

    name = "device.links"
    __slots__ = ("_links",)

    def __init__(self, links: tuple[tuple[str, str], ...]) -> None:
        self._links = links

    def describe(self) -> str:
        return "link " + ", ".join(f"{name} to {target}" for name, target in self._links)

    def run(self, child: Child) -> None:
        for name, target in self._links:
            directory, _, base = name.rpartition("/")
            where = resolve.open_in_root(child.root, directory, os.O_PATH | os.O_DIRECTORY)
            try:
                os.symlink(target, base, dir_fd=where)
            finally:
                os.close(where)


class Bind(Step):
    """A file or directory of the host."""

    __slots__ = ("_mount",)

    def __init__(self, asked: Mount) -> None:
        self._mount = asked

    @property
    def name(self) -> str:
        return f"mount.{self._mount.target}"

    @property
    def source(self) -> str:
        """The host's path."""
        return str(self._mount.source)

    @property
    def idmap(self) -> bool:
        """Whether owners go through the container's user map."""
        return self._mount.idmap

    def describe(self) -> str:
        mode = "read-only" if self._mount.readonly else "read-write"
        return f"bind the host's {self._mount.source} at {self._mount.target}, {mode}"

    def open(self) -> int:
        """The detached mount, with its attributes. The launcher calls it where only it has the
        right to reach the source; an unprivileged container's child does."""
        recursive = self._mount.recursive
        made = detached.clone_tree(self.source, recursive=recursive)
        detached.set_attributes(made, attributes_of(self._mount), recursive=recursive)
        return made

    def run(self, child: Child) -> None:
        made = child.prepared[self.name] if self.name in child.prepared else self.open()
        directory = stat.S_ISDIR(os.fstat(made).st_mode)
        _attach(child, made, self._mount.target, directory=directory)


def attributes_of(asked: Mount) -> int:
    """The mount's attributes in mount_setattr(2)'s bits; the safe ones unless asked otherwise."""
    return (
        (mount.MOUNT_ATTR_RDONLY if asked.readonly else 0)
        | (0 if asked.suid else mount.MOUNT_ATTR_NOSUID)
        | (0 if asked.dev else mount.MOUNT_ATTR_NODEV)
        | (0 if asked.exec else mount.MOUNT_ATTR_NOEXEC)
    )


class Masked(Step):
    """Hide a path: a file below the null device, a directory below an empty read-only tmpfs."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"mask.{self._path}"

    def describe(self) -> str:
        return f"hide {self._path}"

    def run(self, child: Child) -> None:
        try:
            where = _open_existing(child, self._path)
        except PermissionError:
            return  # hidden already: nobody inside has more rights than its root
        if where is None:
            return
        if stat.S_ISDIR(os.fstat(where).st_mode):
            cover = detached.new_filesystem(
                "tmpfs", mount.MOUNT_ATTR_RDONLY | SAFE, mode="0555", nr_inodes="1"
            )
        else:
            cover = open_device("/dev/null", os.makedev(1, 3))
        detached.attach(cover, where)
        os.close(cover)
        os.close(where)


class ReadOnly(Step):
    """Make a path read-only, with what is mounted below."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"readonly.{self._path}"

    def describe(self) -> str:
        return f"make {self._path} read-only"

    def run(self, child: Child) -> None:
        where = _open_existing(child, self._path)
        if where is None:
            return
        cover = detached.clone_tree("", at=where, recursive=True)
        detached.set_attributes(cover, mount.MOUNT_ATTR_RDONLY | SAFE, recursive=True)
        detached.attach(cover, where)
        os.close(cover)
        os.close(where)


def _open_existing(child: Child, path: str) -> int | None:
    """What is at `path` inside; below /proc surely on procfs. None where there is nothing."""
    below_proc = path.startswith("/proc/") and child.proc >= 0
    base = child.proc if below_proc else child.root
    relative = path.removeprefix("/proc/") if below_proc else path
    try:
        return resolve.open_in_root(base, relative, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


class RootReadOnly(Step):
    """Make the root itself read-only, once every target has been made."""

    name = "root.readonly"

    def describe(self) -> str:
        return "make the root read-only"

    def run(self, child: Child) -> None:
        detached.set_attributes(child.root, mount.MOUNT_ATTR_RDONLY)


class Sysctl(Step):
    """Set a kernel parameter of the container's own namespaces, surely on procfs."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: str, value: str) -> None:
        self._key = key
        self._value = value

    @property
    def name(self) -> str:
        return f"sysctl.{self._key}"

    def describe(self) -> str:
        return f"set {self._key} to {self._value}"

    def run(self, child: Child) -> None:
        path = "sys/" + self._key.replace(".", "/")
        descriptor = resolve.open_in_root(child.proc, path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, self._value.encode())
        finally:
            os.close(descriptor)

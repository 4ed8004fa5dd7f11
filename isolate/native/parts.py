"""Parts of a plan that containers with a mount namespace have in common, each a list of steps."""

from __future__ import annotations

from isolate.linux import mount
from isolate.native import defaults
from isolate.native import mount_steps as mounts
from isolate.native import process_steps as process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.native.step import Step
    from isolate.spec.model import Mount, Spec


def kernel_filesystems(spec: Spec, views: frozenset[str]) -> list[Step]:
    """Proc and sysfs, of the container's own namespaces where it has them, and its sysctls."""
    proc: Step = mounts.Proc() if "pids" in views else mounts.HostTree("/proc")
    read_only = mount.MOUNT_ATTR_RDONLY | mounts.SAFE
    own_sys = "network" in views  # sysfs shows a network namespace: it must be ours
    sysfs: Step = (
        mounts.Filesystem("sysfs", "/sys", read_only) if own_sys else mounts.HostTree("/sys")
    )
    sysctls = [mounts.Sysctl(key, value) for key, value in spec.sysctl.items()]
    return [proc, *sysctls, sysfs]


def devices(spec: Spec, views: frozenset[str], *, single_id: bool) -> list[Step]:
    """A /dev of its own: the default nodes and links, terminals, shared memory, the spec's."""
    no_suid_no_exec = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NOEXEC
    pts = {"ptmxmode": "0666", "mode": "0620"}
    if not single_id:
        pts["gid"] = "5"  # the group tty of every distribution
    own_queues = "ipc" in views
    return [
        mounts.Filesystem(
            "tmpfs", "/dev", no_suid_no_exec, mode="0755", size=str(defaults.DEV_BYTES)
        ),
        *[mounts.DeviceNode(path, path, number) for path, number in defaults.DEVICES.items()],
        mounts.Symlinks(defaults.DEVICE_LINKS),
        mounts.Filesystem("devpts", "/dev/pts", no_suid_no_exec, **pts),
        mounts.Filesystem("tmpfs", "/dev/shm", mode="1777", size=str(defaults.SHM_BYTES)),
        *([mounts.Filesystem("mqueue", "/dev/mqueue")] if own_queues else []),
        *[mounts.DeviceNode(asked.path, asked.target or asked.path) for asked in spec.devices],
    ]


def hide_host_runtime() -> list[Step]:
    """The host's own files, but not its sockets and scratch space."""
    return [mounts.Filesystem("tmpfs", path, mode=mode) for path, mode in defaults.HIDDEN_OF_HOST]


def mount_of(asked: Mount) -> Step:
    """The step of one mount of the spec."""
    if asked.type == "bind":
        return mounts.Bind(asked)
    parameters = {}
    if asked.type == "tmpfs":
        parameters["mode"] = f"{0o1777 if asked.mode is None else asked.mode:04o}"
        if asked.size is not None:
            parameters["size"] = str(asked.size)
    fstype = "cgroup2" if asked.type == "cgroup" else asked.type
    return mounts.Filesystem(fstype, asked.target, mounts.attributes_of(asked), **parameters)


def cover(spec: Spec) -> list[Step]:
    """Read-only first: the copy of a tree that it makes must not show what a mask hides."""
    if spec.privileges.privileged or spec.privileges.unmask:
        return [mounts.Masked(path) for path in spec.privileges.masked_paths]
    return [
        *[mounts.ReadOnly(path) for path in defaults.READONLY_PATHS],
        *[mounts.Masked(path) for path in (*defaults.MASKED_PATHS, *spec.privileges.masked_paths)],
    ]


def terminal(spec: Spec) -> list[Step]:
    """The program's terminal, where the spec asks for one."""
    return [process.Terminal("/dev/pts/ptmx", console=True)] if spec.process.terminal else []

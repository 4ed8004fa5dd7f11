"""The ordered steps of a namespaces container: one page that says how a process is contained."""

from __future__ import annotations

from isolate.linux import mount
from isolate.linux.names import RLIMITS
from isolate.native import defaults, limits
from isolate.native import identity_steps as identity
from isolate.native import mount_steps as mounts
from isolate.native import process_steps as process
from isolate.native import rootfs_steps as rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.cgroup import Entry
    from isolate.linux.seccomp.cache import Cached
    from isolate.native.step import Step
    from isolate.spec.model import Mount, Spec

MAPPED = "mapped"


class Choices:
    """What was decided about a spec on this host; the plan follows from it and the spec alone."""

    __slots__ = (
        "attach_root",
        "capabilities",
        "cgroup2",
        "cgroup_entry",
        "filter",
        "filter_name",
        "hostname",
        "no_new_privileges",
        "rootless",
        "single_id",
        "stdio",
        "views",
    )

    def __init__(
        self,
        *,
        views: frozenset[str],
        attach_root: rootfs.AttachRoot,
        capabilities: int,
        filter: Cached | None,  # noqa: A002 - what the kernel calls it
        filter_name: str,
        no_new_privileges: bool,
        hostname: str,
        rootless: bool,
        single_id: bool,
        stdio: tuple[int, int, int],
        cgroup2: bool,
        cgroup_entry: Entry | None,
    ) -> None:
        self.views = views
        self.attach_root = attach_root
        self.capabilities = capabilities
        self.filter = filter
        self.filter_name = filter_name
        self.no_new_privileges = no_new_privileges
        self.hostname = hostname
        self.rootless = rootless
        self.single_id = single_id
        self.stdio = stdio
        self.cgroup2 = cgroup2
        self.cgroup_entry = cgroup_entry


def steps(spec: Spec, chosen: Choices) -> list[Step]:
    """Everything between clone and execve, in order."""
    return [
        *_identity_of_namespaces(chosen),
        rootfs.PrivatePropagation(),
        chosen.attach_root,
        *_kernel_filesystems(spec, chosen),
        *_devices(spec, chosen),
        *(_hide_host_runtime() if spec.root.source == "host" else []),
        *[_mount(asked) for asked in spec.mounts],
        *_cover(spec),
        *([mounts.RootReadOnly()] if spec.root.readonly else []),
        *_terminal(spec),
        rootfs.PivotRoot(),
        *_namespaces_of_their_own(chosen),
        process.NewSession(),
        identity.ResolveUser(spec.process.user, spec.process.groups),
        process.Stdio(chosen.stdio, init=spec.process.init),
        process.Umask(spec.process.umask),
        rootfs.Workdir(spec.process.cwd),
        *_rights(spec, chosen),
        process.Barrier(),
        *([process.Init()] if spec.process.init else []),
        process.Exec(spec.process.args, spec.process.env),
    ]


def _identity_of_namespaces(chosen: Choices) -> list[Step]:
    steps: list[Step] = [
        limits.EnterCgroups(chosen.cgroup_entry),
        identity.WaitFor(MAPPED, "the launcher has written the id maps and configured the root"),
    ]
    if "users" in chosen.views:
        steps.append(identity.RootInside())
    if "hostname" in chosen.views:
        steps.append(identity.Hostname(chosen.hostname))
    if "network" in chosen.views:
        steps.append(identity.Loopback())
    steps.append(identity.SessionKeyring())
    return steps


def _kernel_filesystems(spec: Spec, chosen: Choices) -> list[Step]:
    proc: Step = mounts.Proc() if "pids" in chosen.views else mounts.HostTree("/proc")
    read_only = mount.MOUNT_ATTR_RDONLY | mounts.SAFE
    own_sys = "network" in chosen.views  # sysfs shows a network namespace: it must be ours
    sysfs: Step = (
        mounts.Filesystem("sysfs", "/sys", read_only) if own_sys else mounts.HostTree("/sys")
    )
    sysctls = [mounts.Sysctl(key, value) for key, value in spec.sysctl.items()]
    return [proc, *sysctls, sysfs]


def _devices(spec: Spec, chosen: Choices) -> list[Step]:
    no_suid_no_exec = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NOEXEC
    pts = {"ptmxmode": "0666", "mode": "0620"}
    if not chosen.single_id:
        pts["gid"] = "5"  # the group tty of every distribution
    own_queues = "ipc" in chosen.views
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


def _hide_host_runtime() -> list[Step]:
    """The host's own files, but not its sockets and scratch space."""
    return [
        mounts.Filesystem("tmpfs", "/run", mode="0755"),
        mounts.Filesystem("tmpfs", "/tmp", mode="1777"),
        mounts.Filesystem("tmpfs", "/var/tmp", mode="1777"),
    ]


def _mount(asked: Mount) -> Step:
    if asked.type == "bind":
        return mounts.Bind(asked)
    parameters = {}
    if asked.type == "tmpfs":
        parameters["mode"] = f"{0o1777 if asked.mode is None else asked.mode:04o}"
        if asked.size is not None:
            parameters["size"] = str(asked.size)
    fstype = "cgroup2" if asked.type == "cgroup" else asked.type
    return mounts.Filesystem(fstype, asked.target, mounts.attributes_of(asked), **parameters)


def _cover(spec: Spec) -> list[Step]:
    """Read-only first: the copy of a tree that it makes must not show what a mask hides."""
    if spec.privileges.privileged:
        return [mounts.Masked(path) for path in spec.privileges.masked_paths]
    return [
        *[mounts.ReadOnly(path) for path in defaults.READONLY_PATHS],
        *[mounts.Masked(path) for path in (*defaults.MASKED_PATHS, *spec.privileges.masked_paths)],
    ]


def _terminal(spec: Spec) -> list[Step]:
    return [process.Terminal("/dev/pts/ptmx", console=True)] if spec.process.terminal else []


def _namespaces_of_their_own(chosen: Choices) -> list[Step]:
    steps: list[Step] = []
    if "cgroups" in chosen.views:
        steps.append(identity.CgroupNamespace())
        if chosen.cgroup2:
            steps.append(
                mounts.Filesystem(
                    "cgroup2", "/sys/fs/cgroup", mount.MOUNT_ATTR_RDONLY | mounts.SAFE
                )
            )
    if "time" in chosen.views:
        steps.append(identity.TimeNamespace())
    return steps


def _rights(spec: Spec, chosen: Choices) -> list[Step]:
    """Without no_new_privs a filter needs CAP_SYS_ADMIN, so it comes before they are dropped."""
    limits = {RLIMITS[name]: limit for name, limit in spec.process.rlimits.items()}
    seccomp: list[Step] = []
    if chosen.filter is not None:
        seccomp = [identity.Seccomp(chosen.filter.program, chosen.filter.flags, chosen.filter_name)]
    early = [] if chosen.no_new_privileges else seccomp
    late = [identity.NoNewPrivileges(), *seccomp] if chosen.no_new_privileges else []
    return [
        *([identity.Rlimits(limits)] if limits else []),
        *early,
        identity.DropBounding(chosen.capabilities),
        identity.BecomeUser(may_set_groups=not chosen.single_id),
        identity.Capabilities(chosen.capabilities, dumpable=chosen.rootless),
        identity.DieWithLauncher(),
        *late,
    ]

"""The ordered steps of a jail: one page that says how a process is contained."""

from __future__ import annotations

from isolate.linux import landlock, mount
from isolate.linux.names import RLIMITS
from isolate.native import half, limits, lsm, parts
from isolate.native import identity_steps as identity
from isolate.native import mount_steps as mounts
from isolate.native import process_steps as process
from isolate.native import rootfs_steps as rootfs
from isolate_jail import settings, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.cgroup import Entry
    from isolate.linux.seccomp.cache import Cached
    from isolate.native.step import Step
    from isolate.spec.model import Spec
    from isolate_jail.parameters import Jail

_PORT_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_SCRATCH = ("/run", "/tmp", "/var/tmp")


class Choices:
    """What was decided on this host; the plan follows from it, the spec and the parameters."""

    __slots__ = (
        "attach_root",
        "attached",
        "capabilities",
        "cgroup2",
        "cgroup_entry",
        "extra_filter",
        "filter",
        "hostname",
        "network",
        "rootless",
        "single_id",
        "stdio",
        "views",
    )

    def __init__(
        self,
        *,
        views: frozenset[str],
        network: settings.Network,
        attach_root: rootfs.AttachRoot,
        capabilities: int,
        filter: Cached,  # noqa: A002 - what the kernel calls it
        extra_filter: Cached | None,
        hostname: str,
        rootless: bool,
        single_id: bool,
        stdio: tuple[int, int, int],
        cgroup2: bool,
        cgroup_entry: Entry | None,
        attached: bool = True,
    ) -> None:
        self.views = views
        self.network = network
        self.attach_root = attach_root
        self.capabilities = capabilities
        self.filter = filter
        self.extra_filter = extra_filter
        self.hostname = hostname
        self.rootless = rootless
        self.single_id = single_id
        self.stdio = stdio
        self.cgroup2 = cgroup2
        self.cgroup_entry = cgroup_entry
        self.attached = attached


def plan(spec: Spec, jail: Jail, chosen: Choices) -> list[Step]:
    """Everything between clone and execve, in order."""
    return [
        *_names(jail, chosen),
        rootfs.PrivatePropagation(),
        identity.WaitFor(half.CONFIGURED, "the launcher has configured the root"),
        chosen.attach_root,
        *_kernel_filesystems(spec, jail, chosen),
        *_devices(spec, jail, chosen),
        *(parts.hide_host_runtime() if spec.root.source == "host" else []),
        *[parts.mount_of(asked) for asked in spec.mounts],
        *[steps.BoundFile(path, content) for path, content in settings.bound_files(jail)],
        *parts.cover(spec),
        *([mounts.RootReadOnly()] if spec.root.readonly else []),
        *parts.terminal(spec),
        rootfs.PivotRoot(),
        *_namespaces_of_their_own(chosen),
        *([steps.HideMountTable()] if jail["enforce_statfs"] == 2 else []),
        process.NewSession(),
        identity.ResolveUser(spec.process.user, spec.process.groups),
        process.Stdio(chosen.stdio, init=spec.process.init or holds(jail)),
        process.Umask(spec.process.umask),
        rootfs.Workdir(spec.process.cwd),
        *_rights(spec, jail, chosen),
        process.Barrier(),
        *_first_process(spec, jail),
    ]


def _names(jail: Jail, chosen: Choices) -> list[Step]:
    made: list[Step] = [
        limits.EnterCgroups(chosen.cgroup_entry),
        identity.WaitFor(half.MAPPED, "the launcher has written the id maps"),
    ]
    if "users" in chosen.views:
        made.append(identity.RootInside())
    if "hostname" in chosen.views:
        made.append(identity.Hostname(chosen.hostname))
        if jail["host.domainname"]:
            made.append(steps.Domainname(jail["host.domainname"]))
    if "network" in chosen.views:
        made.append(identity.Loopback())
        if chosen.network.addresses:
            made.append(steps.Addresses(chosen.network.addresses))
    if "time" in chosen.views:  # here, where /proc is still the host's and its clocks can be set
        made.append(identity.TimeNamespace())
    made.append(identity.SessionKeyring())
    return made


def _kernel_filesystems(spec: Spec, jail: Jail, chosen: Choices) -> list[Step]:
    made = parts.kernel_filesystems(spec, chosen.views)
    if not jail["mount.procfs"]:
        return made[1:]
    if "users" in chosen.views:
        # The kernel itself counts nested user namespaces, and without one no jail can be made.
        most = str(jail["children.max"])
        made.insert(1, mounts.Sysctl("user.max_user_namespaces", most))
    return made


def _devices(spec: Spec, jail: Jail, chosen: Choices) -> list[Step]:
    if not jail["mount.devfs"]:
        return []
    return parts.devices(spec, chosen.views, single_id=chosen.single_id)


def _namespaces_of_their_own(chosen: Choices) -> list[Step]:
    made: list[Step] = []
    if "cgroups" in chosen.views:
        made.append(identity.CgroupNamespace())
        if chosen.cgroup2:
            read_only = mount.MOUNT_ATTR_RDONLY | mounts.SAFE
            made.append(mounts.Filesystem("cgroup2", "/sys/fs/cgroup", read_only))
    return made


def _rights(spec: Spec, jail: Jail, chosen: Choices) -> list[Step]:
    """Without no_new_privs both fences need CAP_SYS_ADMIN, so they come before it is dropped."""
    rlimits = {RLIMITS[name]: limit for name, limit in spec.process.rlimits.items()}
    fences: list[Step] = [_landlock(spec, jail, chosen.network)]
    fences.append(identity.Seccomp(chosen.filter.program, chosen.filter.flags, "the jail"))
    if chosen.extra_filter is not None:
        extra = chosen.extra_filter
        fences.append(identity.Seccomp(extra.program, extra.flags, str(spec.privileges.seccomp)))
    tight = no_new_privileges(spec, jail)
    return [
        *([identity.Rlimits(rlimits)] if rlimits else []),
        *lsm.steps(spec.privileges.lsm_label),
        *([] if tight else fences),
        identity.DropBounding(chosen.capabilities),
        identity.BecomeUser(may_set_groups=not chosen.single_id),
        identity.Capabilities(chosen.capabilities, dumpable=chosen.rootless),
        *([identity.DieWithLauncher()] if chosen.attached else []),
        *([identity.NoNewPrivileges(), *fences] if tight else []),
    ]


def no_new_privileges(spec: Spec, jail: Jail) -> bool:
    """Always, but where the super-user is allowed and the spec says that it isn't wanted."""
    return not (jail["allow.suser"] and spec.privileges.no_new_privileges is False)


def exec_fences(spec: Spec, jail: Jail, network: settings.Network) -> list[Step]:
    """What a further program gets beside the capabilities and the filter of the jail.

    It is in a Landlock domain of its own, so it isn't kept from signals to the jail's processes:
    the pid namespace has no others. Nor from abstract sockets, where the network has no others.
    """
    scope = landlock.SCOPE_ABSTRACT_UNIX_SOCKET if network.shared else 0
    return [_landlock(spec, jail, network, scope)]


def _landlock(
    spec: Spec, jail: Jail, network: settings.Network, scope: int = landlock.SCOPE_ALL
) -> Step:
    """A Landlock domain for files forbids every mount, so it can't stand where some are allowed."""
    net, ports = 0, None
    if network.disabled >= {"ip4", "ip6"}:
        net = landlock.NET_ALL
    elif not jail["allow.reserved_ports"] and network.shared and _port_start() < 1024:
        net, ports = landlock.NET_BIND_TCP, range(1024, 65536)
    return steps.Landlock(
        _files(spec),
        restrict_files=not (jail["allow.mount"] or jail["children.max"]),
        net=net,
        ports=ports,
        scope=scope,
    )


def _files(spec: Spec) -> list[tuple[str, int]]:
    """Everything may be read; written what is no read-only root; device nodes nowhere made."""
    everything = landlock.FS_READ | landlock.FS_WRITE
    host = spec.root.source == "host"
    rows = [("/", landlock.FS_READ if spec.root.readonly or host else everything)]
    rows += [("/proc", everything), ("/dev", everything | landlock.FS_IOCTL_DEV)]
    rows += [(path, everything) for path in _SCRATCH if host]
    rows += [(asked.target, everything) for asked in spec.mounts if not asked.readonly]
    rows += [
        (asked.target, everything | landlock.FS_IOCTL_DEV) for asked in spec.mounts if asked.dev
    ]
    for device in spec.devices:
        path = device.target or device.path
        rows.append((path, everything | landlock.FS_IOCTL_DEV))
    return rows


def _port_start() -> int:
    try:
        with open(_PORT_START, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def _first_process(spec: Spec, jail: Jail) -> list[Step]:
    """Who is pid 1, and who becomes the program."""
    program = bool(spec.process.args)
    execute: list[Step] = [process.Exec(spec.process.args, spec.process.env)]
    if not holds(jail):
        return [process.Init(), *execute] if spec.process.init else execute
    hold = steps.Hold(
        program=program,
        persist=jail["persist"],
        stop=jail["exec.stop"],
        deadline=jail["exec.timeout"],
    )
    return [hold, *(execute if program else [])]


def holds(jail: Jail) -> bool:
    """Whether a process of ours is pid 1, so that it can go on when the program has ended."""
    return bool(jail["persist"] or jail["exec.stop"])

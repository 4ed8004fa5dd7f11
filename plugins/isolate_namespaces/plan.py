"""The ordered steps of a namespaces container: one page that says how a process is contained."""

from __future__ import annotations

from isolate.linux import mount
from isolate.linux.names import RLIMITS
from isolate.native import identity_steps as identity
from isolate.native import limits, parts
from isolate.native import mount_steps as mounts
from isolate.native import process_steps as process
from isolate.native import rootfs_steps as rootfs
from isolate.native.half import MAPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.cgroup import Entry
    from isolate.linux.seccomp.cache import Cached
    from isolate.native.step import Step
    from isolate.spec.model import Spec


class Choices:
    """What was decided about a spec on this host; the plan follows from it and the spec alone."""

    __slots__ = (
        "attach_root",
        "attached",
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
        attached: bool = True,
    ) -> None:
        self.attached = attached
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
        *parts.kernel_filesystems(spec, chosen.views),
        *parts.devices(spec, chosen.views, single_id=chosen.single_id),
        *(parts.hide_host_runtime() if spec.root.source == "host" else []),
        *[parts.mount_of(asked) for asked in spec.mounts],
        *parts.cover(spec),
        *([mounts.RootReadOnly()] if spec.root.readonly else []),
        *parts.terminal(spec),
        *_cgroup_view(chosen),
        rootfs.PivotRoot(),
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
    if "time" in chosen.views:  # here, where /proc is still the host's and its clocks can be set
        steps.append(identity.TimeNamespace())
    steps.append(identity.SessionKeyring())
    return steps


def _cgroup_view(chosen: Choices) -> list[Step]:
    steps: list[Step] = []
    if "cgroups" in chosen.views:
        steps.append(identity.CgroupNamespace())
        if chosen.cgroup2:
            steps.append(
                mounts.Filesystem(
                    "cgroup2", "/sys/fs/cgroup", mount.MOUNT_ATTR_RDONLY | mounts.SAFE
                )
            )
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
        *([identity.DieWithLauncher()] if chosen.attached else []),
        *late,
    ]

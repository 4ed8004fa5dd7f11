"""Features: what a spec can ask for and a backend can promise, as dotted words with a meaning.

`required(spec)` is the one place that says which features a spec needs.
"""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.spec.model import VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.spec.model import Spec

FEATURES: dict[str, str] = {
    "root": "a root directory other than the host's",
    "root.fence": "a root that its own root user can't leave (pivot_root, a VM; not chroot)",
    "root.readonly": "a read-only root",
    "root.layer": "a private writable layer; the source is never written to",
    "view.mounts": "a mount table of its own",
    "view.pids": "process ids of its own; the host's processes aren't visible",
    "view.network": "network interfaces, ports and abstract sockets of its own",
    "view.ipc": "System V IPC and POSIX message queues of its own",
    "view.hostname": "a host name of its own",
    "view.users": "root inside is not root outside",
    "view.cgroups": "the cgroup tree seen from the container's own",
    "view.time": "monotonic and boot clocks of its own",
    "network.none": "no network but a loopback of its own",
    "network.host": "the host's network",
    "hostname": "a chosen host name",
    "process.user": "a chosen user and group",
    "process.groups": "chosen supplementary groups",
    "process.terminal": "a terminal with resize and job control",
    "process.init": "an init that reaps orphans",
    "process.rlimits": "resource limits per process, umask",
    "process.oom_score_adj": "an adjusted OOM score",
    "mounts.bind": "files and directories of the host",
    "mounts.tmpfs": "memory filesystems",
    "mounts.kernel": "further proc, sysfs, mqueue, devpts, cgroup filesystems",
    "mounts.idmap": "bind mounts whose owners go through the user map",
    "devices": "chosen device nodes of the host",
    "sysctl": "kernel parameters of its own namespaces",
    "limits.memory": "a memory limit for the whole container",
    "limits.memory_swap": "a swap limit",
    "limits.cpus": "a bound on CPU time",
    "limits.cpu_weight": "a share of contended CPU time",
    "limits.cpuset": "chosen CPUs",
    "limits.pids": "a bound on tasks",
    "limits.io": "bounds per block device",
    "limits.timeout": "a deadline that ends every process, forking ones too",
    "limits.output": "a bound on output",
    "privileges.capabilities": "a chosen capability set",
    "privileges.no_new_privileges": "execve(2) never gives more rights",
    "privileges.seccomp": "a system call filter",
    "privileges.lsm_label": "an AppArmor profile or SELinux label",
    "privileges.id_maps": "chosen user and group maps",
    "privileges.masked_paths": "chosen paths hidden",
    "privileges.unmask": "nothing of /proc and /sys hidden, when asked for",
    "privileges.privileged": "a mode without fences",
    "users.host": "root inside is root outside, when asked for",
    "hooks": "hooks at the points of the OCI lifecycle",
    "kernel.separate": "a kernel of its own: not the host's system calls",
}

_LIMITS = ("memory", "memory_swap", "cpus", "cpu_weight", "cpuset", "pids", "timeout", "output")
_MOUNTS = {"bind": "mounts.bind", "tmpfs": "mounts.tmpfs"}


def required(spec: Spec) -> frozenset[str]:
    """The features without which this spec is not honoured; what is left unsaid needs none."""
    return frozenset(
        {
            *_of_process(spec),
            *_of_files(spec),
            *_of_views(spec),
            *(f"limits.{name}" for name in _LIMITS if getattr(spec.limits, name) is not None),
            *(("limits.io",) if spec.limits.io else ()),
            *_of_privileges(spec),
            *(feature_of(text, f"require[{i}]") for i, text in enumerate(spec.require)),
        }
    )


def feature_of(text: str, path: str) -> str:
    """The feature that `--require` or `--allow-degraded` names: `kernel=separate` or
    `kernel.separate`. Raises SpecError."""
    name = text.replace("=", ".", 1)
    if name not in FEATURES:
        raise SpecError(
            path, f"{text!r} is no feature", hint=f"the features are: {', '.join(FEATURES)}"
        )
    return name


def waivable(spec: Spec) -> frozenset[str]:
    """The features that the user allows to be missing. Raises SpecError."""
    return frozenset(
        feature_of(text, f"allow_degraded[{i}]") for i, text in enumerate(spec.allow_degraded)
    )


# The field that asks for a feature, where it isn't named as the feature is.
_ASKED_BY = {
    "devices": "devices",
    "hooks": "hooks",
    "hostname": "hostname",
    "limits.memory": "limits.memory limits.memory_swap",
    "network.host": "network.mode",
    "network.none": "network.mode",
    "privileges.capabilities": "privileges.capabilities privileges.cap_add privileges.cap_drop",
    "privileges.id_maps": "privileges.uid_map privileges.gid_map",
    "sysctl": "sysctl",
    "users.host": "privileges.users",
    "view.users": "privileges.users",
}


def without(spec: Spec, features: Iterable[str]) -> Spec:
    """The spec that no longer asks for `features`: what a backend is given once they are waived.

    Mounts aren't taken out: a backend that can't make them ignores them.
    """
    for feature in features:
        for path in _ASKED_BY.get(feature, feature).split():
            spec = _reset(spec, path)
    return spec


def _reset(spec: Spec, path: str) -> Spec:
    """The spec with the field at `path` back at its default; as it is where there is none."""
    table, _, name = path.rpartition(".")
    if not table:
        return spec.replace(**{name: spec.FIELDS[name].default}) if name in spec.FIELDS else spec
    part = getattr(spec, table, None)
    if part is None or name not in getattr(part, "FIELDS", {}):
        return spec
    return spec.replace(**{table: part.replace(**{name: part.FIELDS[name].default})})


def _of_process(spec: Spec) -> Iterable[str]:
    process = spec.process
    if process.user is not None:
        yield "process.user"
    if process.groups:
        yield "process.groups"
    if process.terminal:
        yield "process.terminal"
    if process.init:
        yield "process.init"
    if process.rlimits:
        yield "process.rlimits"
    if process.oom_score_adj is not None:
        yield "process.oom_score_adj"


def _of_files(spec: Spec) -> Iterable[str]:
    yield "root"
    if spec.root.readonly:
        yield "root.readonly"
    for mount in spec.mounts:
        yield _MOUNTS.get(mount.type, "mounts.kernel")
        if mount.idmap:
            yield "mounts.idmap"
    if spec.devices:
        yield "devices"
    if spec.sysctl:
        yield "sysctl"
    if any(getattr(spec.hooks, name) for name in spec.hooks.FIELDS):
        yield "hooks"


def _of_views(spec: Spec) -> Iterable[str]:
    for view in VIEWS:
        if view in (spec.isolate or ()):
            yield f"view.{view}"
    if spec.network.mode is not None:
        yield f"network.{spec.network.mode}"
    if spec.hostname is not None:
        yield "hostname"


def _of_privileges(spec: Spec) -> Iterable[str]:
    asked = spec.privileges
    if asked.privileged:
        yield "privileges.privileged"
    if asked.capabilities is not None or asked.cap_add or asked.cap_drop:
        yield "privileges.capabilities"
    if asked.no_new_privileges:
        yield "privileges.no_new_privileges"
    if asked.seccomp not in (None, "unconfined"):
        yield "privileges.seccomp"
    if asked.lsm_label is not None:
        yield "privileges.lsm_label"
    if asked.uid_map:
        yield "privileges.id_maps"
    if asked.masked_paths:
        yield "privileges.masked_paths"
    if asked.unmask:
        yield "privileges.unmask"
    if asked.users is not None:
        yield "view.users" if asked.users == "private" else "users.host"

"""The container spec: what a user intends, in words that a jail, a chroot and a VM can answer too.

Units stand in each field's text. None means "nothing said": the backend's own default holds.
The words are those of the OCI runtime specification where it has the idea.
"""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.linux.names import CAPABILITIES, RLIMITS
from isolate.spec.kinds import (
    Boolean,
    Choice,
    Integer,
    Items,
    Mapping,
    Nested,
    Number,
    Size,
    Text,
    Union,
    words,
)
from isolate.spec.record import Record, below, field, shown
from isolate.spec.texts import (
    ABSOLUTE,
    CAPABILITY,
    CPUSET,
    ENV_NAME,
    HOSTNAME,
    INSIDE,
    IO_DEVICE,
    SECCOMP,
    SOURCE,
    SYSCTL,
    SYSCTL_VALUE,
    UID_MAX,
    USER,
    label,
    sysctl_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType

VIEWS = ("mounts", "pids", "network", "ipc", "hostname", "users", "cgroups", "time")
OPTION = Union(
    Boolean(), Integer(-(2**63)), Number(-1e300, 1e300, "any unit"), Text(), Items(Text())
)
RATE = Size(1)
ID = Integer(0, UID_MAX)


class Rlimit(Record):
    """One resource limit; see getrlimit(2)."""

    soft: int = field(Integer(-1), doc="the soft limit; -1 is no limit")
    hard: int = field(Integer(-1), doc="the hard limit; -1 is no limit")

    def validate(self, path: str) -> None:
        if self.hard != -1 and (self.soft == -1 or self.soft > self.hard):
            soft = "no limit" if self.soft == -1 else self.soft
            raise SpecError(below(path, "soft"), f"{soft} is above the hard limit {self.hard}")


class Process(Record):
    """The program and what it starts with."""

    args: tuple[str, ...] = field(
        Items(Text(), most=2**17),
        default=(),
        doc="the program and its arguments; the program is found by PATH",
    )
    cwd: str = field(INSIDE, default="/", doc="working directory, inside the root")
    env: MappingType[str, str] = field(
        Mapping(ENV_NAME, Text()),
        default={},
        doc="environment variables; PATH, HOME and TERM get a value where none is given",
    )
    user: str | None = field(
        USER,
        default=None,
        doc="user (and group) inside; names are looked up inside the root; none said: 0:0",
    )
    groups: tuple[int, ...] = field(
        Items(ID, most=65536), default=(), doc="supplementary group ids, inside"
    )
    umask: int = field(Integer(0, 0o777), default=0o022, doc="file mode creation mask")
    terminal: bool = field(Boolean(), default=False, doc="give the program a terminal of its own")
    interactive: bool = field(
        Boolean(), default=True, doc="pass standard input on; else the program reads nothing"
    )
    init: bool = field(
        Boolean(),
        default=False,
        doc="run a small init as pid 1 that reaps orphans and passes signals",
    )
    rlimits: MappingType[str, Rlimit] = field(
        Mapping(words(RLIMITS, f"one of {', '.join(RLIMITS)}"), Nested(Rlimit)),
        default={},
        doc="resource limits by their name in lower case, without RLIMIT_",
    )
    oom_score_adj: int | None = field(
        Integer(-1000, 1000), default=None, doc="adjustment of the OOM killer's score; see proc(5)"
    )


class Root(Record):
    """The root filesystem."""

    source: str = field(
        SOURCE,
        default="base",
        doc="where the files come from; the source is never written to",
    )
    readonly: bool = field(Boolean(), default=False, doc="no writable layer: the root is read-only")


class Mount(Record):
    """One mount below the root, made in the order of the list."""

    type: str = field(
        Choice("bind", "tmpfs", "proc", "sysfs", "mqueue", "devpts", "cgroup"),
        default="bind",
        doc="bind shows a file or directory of the host, the others are a fresh filesystem",
    )
    source: str | None = field(ABSOLUTE, default=None, doc="the host's path of a bind mount")
    target: str = field(INSIDE, doc="where it appears inside; made where it is missing")
    readonly: bool = field(
        Boolean(), default=False, doc="read-only, with all that is mounted below"
    )
    recursive: bool = field(
        Boolean(), default=True, doc="show also what is mounted below the source"
    )
    suid: bool = field(Boolean(), default=False, doc="honour set-uid bits and file capabilities")
    dev: bool = field(Boolean(), default=False, doc="honour device nodes")
    exec: bool = field(Boolean(), default=True, doc="allow to execute programs")
    idmap: bool = field(
        Boolean(),
        default=False,
        doc="map file owners through the container's user map, so that its root writes files of "
        "the host's owners (mount_setattr(2) MOUNT_ATTR_IDMAP); writable only where nobody but "
        "root can enter, on a nosuid filesystem, or with suid",
    )
    size: int | None = field(Size(4096), default=None, doc="bytes that a tmpfs may hold")
    mode: int | None = field(Integer(0, 0o7777), default=None, doc="mode of a tmpfs's root")

    def validate(self, path: str) -> None:
        if (self.source is not None) != (self.type == "bind"):
            problem = "is missing" if self.type == "bind" else f"has no meaning for {self.type}"
            raise SpecError(
                below(path, "source"), problem, hint="a bind mount, and no other, has a source"
            )
        for name in ("size", "mode"):
            if self.type != "tmpfs" and getattr(self, name) is not None:
                raise SpecError(below(path, name), "is for type tmpfs only")
        if self.idmap and self.type != "bind":
            raise SpecError(below(path, "idmap"), "is for type bind only")
        if _plain(self.target) == "":
            raise SpecError(below(path, "target"), "the root itself can't be a mount's target")


class Network(Record):
    """Which network the program sees."""

    mode: str | None = field(
        Choice("none", "host"),
        default=None,
        doc="none: a loopback of its own and nothing else; host: the host's network",
    )


class IoMax(Record):
    """Limits on one block device; at least one must be given."""

    device: str = field(
        IO_DEVICE,
        doc="the block device",
    )
    rbps: int | None = field(RATE, default=None, doc="bytes read per second")
    wbps: int | None = field(RATE, default=None, doc="bytes written per second")
    riops: int | None = field(Integer(1), default=None, doc="read operations per second")
    wiops: int | None = field(Integer(1), default=None, doc="write operations per second")

    def validate(self, path: str) -> None:
        if (self.rbps, self.wbps, self.riops, self.wiops) == (None,) * 4:
            raise SpecError(path, "limits nothing", hint="give rbps, wbps, riops or wiops")


class Limits(Record):
    """What the whole container may use; see the kernel's cgroup-v2.rst."""

    memory: int | None = field(Size(2**19), default=None, doc="bytes of memory; above it: OOM kill")
    memory_swap: int | None = field(
        Size(0), default=None, doc="bytes of swap beside the memory; 0 is none"
    )
    cpus: float | None = field(
        Number(0.01, 4096, "CPUs"), default=None, doc="CPUs' worth of time, as in 0.5 or 2"
    )
    cpu_weight: int | None = field(
        Integer(1, 10000),
        default=None,
        doc="share of contended CPU time; the kernel's default is 100",
    )
    cpuset: str | None = field(
        CPUSET,
        default=None,
        doc="the CPUs that may be used",
    )
    pids: int | None = field(Integer(1, 2**22), default=None, doc="tasks (processes and threads)")
    io: tuple[IoMax, ...] = field(
        Items(Nested(IoMax), most=64), default=(), doc="limits per block device"
    )
    timeout: float | None = field(
        Number(0.001, 10**8, "seconds"),
        default=None,
        doc="seconds of wall time; then every process of the container is killed",
    )
    output: int | None = field(
        Size(0),
        default=None,
        doc="bytes on standard output and error together; one more, and the container is killed",
    )

    def validate(self, path: str) -> None:
        if self.memory_swap is not None and self.memory is None:
            raise SpecError(below(path, "memory_swap"), "needs limits.memory beside it")


class IdMap(Record):
    """A range of a user namespace's map; see user_namespaces(7)."""

    inside: int = field(ID, doc="first id inside")
    outside: int = field(ID, doc="first id outside")
    size: int = field(Integer(1, UID_MAX + 1), doc="how many ids")

    def validate(self, path: str) -> None:
        if max(self.inside, self.outside) + self.size > UID_MAX + 1:
            raise SpecError(below(path, "size"), "the range goes beyond 4294967294")


def _refuse_overlap(ranges: tuple[IdMap, ...], path: str) -> None:
    for side in ("inside", "outside"):
        end, order = 0, sorted(range(len(ranges)), key=lambda i: getattr(ranges[i], side))
        for number in order:
            first = getattr(ranges[number], side)
            if first < end:
                raise SpecError(f"{path}[{number}].{side}", f"{first} is in another range already")
            end = first + ranges[number].size


class Privileges(Record):
    """What the program may do."""

    privileged: bool = field(
        Boolean(),
        default=False,
        doc="no fence: all capabilities, no seccomp filter, nothing masked, root inside is root "
        "outside",
    )
    capabilities: tuple[str, ...] | None = field(
        Items(CAPABILITY, most=64),
        default=None,
        doc="the whole capability set, instead of the default",
    )
    cap_add: tuple[str, ...] = field(
        Items(CAPABILITY, most=64), default=(), doc="capabilities beside the default set"
    )
    cap_drop: tuple[str, ...] = field(
        Items(words((*CAPABILITIES, "ALL"), f"{CAPABILITY.allowed}, or ALL"), most=64),
        default=(),
        doc="capabilities out of the default set; ALL is every one",
    )
    no_new_privileges: bool | None = field(
        Boolean(),
        default=None,
        doc="execve(2) never gives more rights: no set-uid, no file capabilities",
    )
    seccomp: str | None = field(
        SECCOMP,
        default=None,
        doc="system call filter; see seccomp(2)",
    )
    lsm_label: str | None = field(
        label("a label", 4096), default=None, doc="AppArmor profile or SELinux label of the program"
    )
    users: str | None = field(
        Choice("private", "host"),
        default=None,
        doc="private: ids inside are other ids outside; host: root inside is root outside",
    )
    uid_map: tuple[IdMap, ...] = field(
        Items(Nested(IdMap), most=340), default=(), doc="user ids; none said: a range of its own"
    )
    gid_map: tuple[IdMap, ...] = field(
        Items(Nested(IdMap), most=340), default=(), doc="group ids; none said: a range of its own"
    )
    masked_paths: tuple[str, ...] = field(
        Items(INSIDE), default=(), doc="paths inside that are hidden, beside the backend's own"
    )
    unmask: bool = field(
        Boolean(),
        default=False,
        doc="hide and make read-only nothing of /proc and /sys but `masked_paths`: for debugging, "
        "or a container in a container",
    )

    def validate(self, path: str) -> None:
        if bool(self.uid_map) != bool(self.gid_map):
            raise SpecError(below(path, "uid_map"), "uid_map and gid_map go together")
        _refuse_overlap(self.uid_map, below(path, "uid_map"))
        _refuse_overlap(self.gid_map, below(path, "gid_map"))
        if self.uid_map and self.users == "host":
            raise SpecError(below(path, "users"), "host leaves no room for uid_map")
        if self.privileged and (self.cap_drop or self.capabilities is not None):
            raise SpecError(below(path, "privileged"), "contradicts a smaller set of capabilities")
        if self.privileged and self.users == "private":
            raise SpecError(below(path, "privileged"), "contradicts users = private")


class Device(Record):
    """A device node of the host."""

    path: str = field(INSIDE, doc="the host's path")
    target: str | None = field(INSIDE, default=None, doc="path inside; none said: the same")
    access: str = field(
        Choice("r", "w", "rw", "rm", "wm", "m", "rwm"), default="rw", doc="read, write, mknod"
    )


class Hook(Record):
    """A program of the host, run at a point of the lifecycle with the state on its stdin."""

    path: str = field(ABSOLUTE, doc="the program")
    args: tuple[str, ...] = field(Items(Text()), default=(), doc="its arguments, the name included")
    env: MappingType[str, str] = field(
        Mapping(ENV_NAME, Text()),
        default={},
        doc="its whole environment",
    )
    timeout: float | None = field(
        Number(0.001, 10**6, "seconds"),
        default=None,
        doc="seconds; then it is killed and has failed",
    )


_HOOKS = Items(Nested(Hook), most=64)


class Hooks(Record):
    """The six points of the OCI runtime specification (config.md, POSIX-platform Hooks)."""

    prestart: tuple[Hook, ...] = field(
        _HOOKS, default=(), doc="deprecated by OCI: as create_runtime"
    )
    create_runtime: tuple[Hook, ...] = field(
        _HOOKS, default=(), doc="namespaces are made, root not yet"
    )
    create_container: tuple[Hook, ...] = field(
        _HOOKS, default=(), doc="in the container's namespaces"
    )
    start_container: tuple[Hook, ...] = field(_HOOKS, default=(), doc="inside, before the program")
    poststart: tuple[Hook, ...] = field(_HOOKS, default=(), doc="after the program has started")
    poststop: tuple[Hook, ...] = field(_HOOKS, default=(), doc="after the container is deleted")


class Spec(Record):
    """One container."""

    process: Process = field(Nested(Process), default={}, doc="the program")
    root: Root = field(Nested(Root), default={}, doc="the root filesystem")
    mounts: tuple[Mount, ...] = field(Items(Nested(Mount)), default=(), doc="more mounts, in order")
    isolate: tuple[str, ...] | None = field(
        Items(Choice(*VIEWS), most=len(VIEWS)),
        default=None,
        doc="views that must be the container's own; none said: all that the backend offers",
    )
    network: Network = field(Nested(Network), default={}, doc="the network")
    limits: Limits = field(Nested(Limits), default={}, doc="resource limits")
    privileges: Privileges = field(Nested(Privileges), default={}, doc="rights")
    devices: tuple[Device, ...] = field(
        Items(Nested(Device)), default=(), doc="devices of the host"
    )
    hostname: str | None = field(
        HOSTNAME,
        default=None,
        doc="host name inside; none said: the container's id",
    )
    sysctl: MappingType[str, str] = field(
        Mapping(SYSCTL, SYSCTL_VALUE),
        default={},
        doc="kernel parameters of the container's own namespaces (kernel.shm*, kernel.msg*, "
        "kernel.sem, fs.mqueue.*, net.*)",
    )
    hooks: Hooks = field(Nested(Hooks), default={}, doc="programs run at points of the lifecycle")
    annotations: MappingType[str, str] = field(
        Mapping(label("a printable name"), Text()), default={}, doc="kept with the container"
    )
    backend_options: MappingType[str, MappingType[str, object]] = field(
        Mapping(label("a backend's name"), Mapping(label("an option's name"), OPTION)),
        default={},
        doc="settings of one backend, by its name: backend_options.NAME.KEY = VALUE",
    )
    require: tuple[str, ...] = field(
        Items(label("NAME=VALUE or a feature's name")),
        default=(),
        doc="features that the backend must have, as in kernel=separate",
    )
    allow_degraded: tuple[str, ...] = field(
        Items(label("a feature's name")),
        default=(),
        doc="features that may be missing; what was waived stands in the result",
    )

    def validate(self, path: str) -> None:
        views = self.isolate or ()
        if "network" in views and self.network.mode == "host":
            raise SpecError("network.mode", 'host contradicts isolate = [..., "network"]')
        if "users" in views and (self.privileges.users == "host" or self.privileges.privileged):
            raise SpecError("privileges.users", 'host contradicts isolate = [..., "users"]')
        self._refuse_twice("mounts", [_plain(mount.target) for mount in self.mounts])
        self._refuse_twice("sysctl", [sysctl_path(name) for name in self.sysctl])
        for name in self.sysctl if self.network.mode == "host" else ():
            if sysctl_path(name).startswith("net/"):
                raise SpecError(f"sysctl.{name}", "would change the host's network")

    def _refuse_twice(self, name: str, places: list[str]) -> None:
        seen: set[str] = set()
        for number, place in enumerate(places):
            if place in seen:
                key = f"mounts[{number}].target" if name == "mounts" else name
                raise SpecError(key, f"/{shown(place)} stands there twice")
            seen.add(place)


def _plain(path: str) -> str:
    """An absolute path without its empty and `.` parts, for comparing."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))

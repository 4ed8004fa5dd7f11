"""The table of jail(8)'s parameters: what each may hold, its default, and what enforces it here.

The reference page is generated from this table, and a value that isn't in it is refused.
"""

from __future__ import annotations

from isolate.errors import SpecError, UnsupportedError
from isolate.spec.record import shown
from isolate_jail.kinds import Addresses, Bool, Choice, Int, Kind, List, Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

PATH = "backend_options.jail"
_AF_INET, _AF_INET6 = 2, 10
FAMILIES = {"ip4": _AF_INET, "ip6": _AF_INET6}

UNPRIVILEGED, ROOT, REFUSED = "U", "R", "X"


class Parameter:
    """One parameter: `mark` is U (works without root), R (needs root) or X (refused); `how` says
    what enforces it, or why it is refused."""

    __slots__ = ("default", "how", "kind", "mark", "name")

    def __init__(self, name: str, kind: Kind, default: object, mark: str, how: str) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.mark = mark
        self.how = how


_BOOL, _TEXT, _LIST, _PATH = Bool(), Kind(), List(), Path()
_SYSV = Choice("inherit", "new", "disable")
_IP = Choice("inherit", "new", "disable", true="inherit", false="disable")
_FIRST = "the same: on or off, what isn't bound comes from the first address"
_HOST_RIGHT = "needs --userns=host: the kernel asks for the right in its first user namespace"

_ROWS: tuple[tuple[str, Kind, object, str, str], ...] = (
    ("jid", Int(1, 999999), None, "U", "the registry of jails"),
    ("name", _TEXT, None, "U", "the registry of jails; the container's id"),
    ("parent", Int(0, 999999), None, "U", "the registry of jails; a dotted name says it"),
    ("dying", _BOOL, None, "U", "read only: the jail's cgroup is still populated"),
    ("children.cur", Int(0, 999999), None, "U", "read only: counted in the registry"),
    (
        "children.max",
        Int(0, 9999),
        0,
        "U",
        (
            "0: seccomp on unshare, setns and clone's flags, clone3 ENOSYS, no user namespaces by "
            "user.max_user_namespaces; N: that many in the registry, and with enforce_statfs below "
            "2 that many user namespaces made inside"
        ),
    ),
    (
        "path",
        _PATH,
        None,
        "U",
        "own mount namespace, pivot_root, the old root detached; Landlock as the second fence",
    ),
    ("persist", _BOOL, False, "U", "the jail's first process stays"),
    ("host", Choice("inherit", "new", true="inherit"), "new", "U", "UTS namespace"),
    ("host.hostname", _TEXT, None, "U", "UTS namespace"),
    ("host.domainname", _TEXT, None, "U", "UTS namespace"),
    ("host.hostuuid", _TEXT, None, "U", "/etc/machine-id bound"),
    ("host.hostid", Int(0, 2**32 - 1), None, "U", "/etc/hostid bound"),
    ("ip4", _IP, None, "U", "disable: seccomp refuses socket() of the family"),
    ("ip6", _IP, None, "U", "disable: seccomp refuses socket() of the family"),
    (
        "ip4.addr",
        Addresses(_AF_INET, "IPv4"),
        (),
        "U",
        "root: shared stack, cgroup eBPF on bind, connect, sendmsg; else own network namespace",
    ),
    (
        "ip6.addr",
        Addresses(_AF_INET6, "IPv6"),
        (),
        "U",
        "root: shared stack, cgroup eBPF on bind, connect, sendmsg; else own network namespace",
    ),
    ("ip4.saddrsel", _BOOL, True, "U", _FIRST),
    ("ip6.saddrsel", _BOOL, True, "U", _FIRST),
    (
        "vnet",
        Choice("new", "inherit", true="new", false="inherit"),
        "inherit",
        "U",
        "own network namespace",
    ),
    ("vnet.interface", _LIST, (), "R", "the interface is moved into the network namespace"),
    ("securelevel", Int(-1, 3), -1, "U", "capabilities, seccomp, and from 2 on no disks in /dev"),
    (
        "devfs_ruleset",
        Int(0, 65535),
        4,
        "U",
        "0 and 4, FreeBSD's ruleset for jails: own /dev with the default nodes",
    ),
    ("mount.devfs", _BOOL, True, "U", "tmpfs /dev with bound nodes; root: device cgroup"),
    (
        "enforce_statfs",
        Int(0, 2),
        2,
        "U",
        (
            "1: own mount namespace; 2: the root is a tree outside of it, so that mountinfo is "
            "empty, and statmount, listmount are refused"
        ),
    ),
    ("cpuset.id", _TEXT, None, "R", "cpuset cgroup; the CPUs as in 0-3,5"),
    ("sysvmsg", _SYSV, "disable", "U", "disable: seccomp; new: own IPC namespace"),
    ("sysvsem", _SYSV, "disable", "U", "disable: seccomp; new: own IPC namespace"),
    ("sysvshm", _SYSV, "disable", "U", "disable: seccomp; new: own IPC namespace"),
    ("allow.sysvipc", _BOOL, False, "U", "on: the three above are new"),
    ("allow.set_hostname", _BOOL, True, "U", "off, or without allow.suser: no SYS_ADMIN; seccomp"),
    ("allow.raw_sockets", _BOOL, False, "U", "off: no NET_RAW, seccomp on SOCK_RAW and AF_PACKET"),
    ("allow.socket_af", _BOOL, False, "U", "off: seccomp lets unix, inet, inet6, netlink pass"),
    ("allow.chflags", _BOOL, False, "U", "off: no LINUX_IMMUTABLE, seccomp on the flag ioctls"),
    ("allow.mount", _BOOL, False, "U", "off: Landlock, and seccomp on both mount interfaces"),
    *(
        (
            f"allow.mount.{name}",
            _BOOL,
            False,
            "U",
            (
                "off: Landlock, and seccomp on both mount interfaces; allow.mount lets pass what "
                "the kernel mounts for user namespaces, so beside it none can be off"
            ),
        )
        for name in ("devfs", "fdescfs", "nullfs", "procfs", "tmpfs")
    ),
    ("allow.quotas", _BOOL, False, "U", "off: seccomp on quotactl"),
    ("allow.read_msgbuf", _BOOL, False, "U", "off: seccomp on syslog; /proc/kmsg is always masked"),
    ("allow.mlock", _BOOL, False, "U", "off: seccomp on mlock, mlockall, MAP_LOCKED, SHM_LOCK"),
    (
        "allow.reserved_ports",
        _BOOL,
        True,
        "U",
        (
            "off: no NET_BIND_SERVICE; Landlock for TCP ports where the host lowered "
            "ip_unprivileged_port_start"
        ),
    ),
    (
        "allow.unprivileged_proc_debug",
        _BOOL,
        True,
        "U",
        "off: seccomp on ptrace, process_vm_*, pidfd_getfd",
    ),
    (
        "allow.suser",
        _BOOL,
        False,
        "U",
        "off (here the default, unlike in jail(8)): empty bounding set, no_new_privs",
    ),
    ("allow.routing", _BOOL, False, "U", "off: no NET_ADMIN; on a shared stack on " + _HOST_RIGHT),
    ("allow.adjtime", _BOOL, False, "R", "off: no SYS_TIME, seccomp; on " + _HOST_RIGHT),
    ("allow.settime", _BOOL, False, "R", "off: no SYS_TIME, seccomp; on " + _HOST_RIGHT),
    ("allow.setaudit", _BOOL, False, "R", "off: no AUDIT_CONTROL; on " + _HOST_RIGHT),
    (
        "allow.extattr",
        _BOOL,
        False,
        "R",
        "off: no SYS_ADMIN in the first user namespace; on " + _HOST_RIGHT,
    ),
    ("mac.label", _TEXT, None, "R", "the program's AppArmor profile or SELinux label, at exec"),
    *(
        (
            f"exec.{name}",
            _LIST,
            (),
            "U",
            "run on the host by /bin/sh, as the caller; a failure aborts",
        )
        for name in (
            "prepare",
            "prestart",
            "created",
            "poststart",
            "prestop",
            "poststop",
            "release",
        )
    ),
    ("exec.start", _LIST, (), "U", "run inside by /bin/sh before the program"),
    ("exec.stop", _LIST, (), "U", "run inside by the first process, before the jail ends"),
    ("command", _LIST, (), "U", "the program, where none is given"),
    (
        "exec.clean",
        _BOOL,
        True,
        "U",
        "off: HOME, SHELL, TERM, USER are passed on (here on by default)",
    ),
    ("exec.jail_user", _TEXT, None, "U", "looked up in the jail's /etc/passwd"),
    ("exec.system_jail_user", _BOOL, False, "U", "exec.jail_user is looked up on the host"),
    ("exec.system_user", _TEXT, None, "R", "setpriv for the hooks on the host"),
    ("exec.timeout", Int(0, 10**6), 0, "U", "seconds in which each command must end"),
    ("exec.consolelog", _PATH, None, "U", "what the jail and its hooks write, appended"),
    ("exec.fib", Int(0, 2**31 - 1), None, "R", "cgroup eBPF gives sockets a routing mark"),
    ("stop.timeout", Int(0, 10**6), 10, "U", "SIGTERM to all, then the cgroup is killed"),
    (
        "interface",
        _TEXT,
        None,
        "R",
        "the addresses are its aliases as long as the jail is there, by rtnetlink; `gc` knows them",
    ),
    ("ip_hostname", _BOOL, False, "U", "what host.hostname resolves to at creation is added"),
    ("mount", _LIST, (), "U", "lines of fstab(5), mounted before the pivot"),
    ("mount.fstab", _PATH, None, "U", "a file of such lines"),
    ("mount.fdescfs", _BOOL, True, "U", "/dev/fd leads to /proc/self/fd"),
    (
        "mount.procfs",
        _BOOL,
        True,
        "U",
        "fresh proc of the jail's own processes (here the default, unlike in jail(8))",
    ),
    ("depend", _LIST, (), "U", "`isolate jail` starts in topological order"),
    ("meta", _TEXT, None, "U", "stored with the jail"),
    ("env", _LIST, (), "U", "stored with the jail"),
)

_NO_KERNEL = "Linux has no such thing"
_REFUSED: dict[str, str] = {
    "osrelease": "the kernel's release can't be shown as another",
    "osreldate": "the kernel's release can't be shown as another",
    "allow.nfsd": "the kernel's NFS server isn't per namespace of an ordinary user",
    "allow.vmm": "bhyve is FreeBSD's",
    "allow.dying": "a dying jail can't be attached to",
    "allow.mount.linprocfs": "Linux's own proc is procfs here",
    "allow.mount.linsysfs": "Linux's own sysfs is mounted already",
    "allow.mount.fusefs": "no FUSE device is in the jail",
    "allow.mount.zfs": "OpenZFS doesn't answer here",
    "linux": _NO_KERNEL,
    "mount.linprocfs": "Linux's own proc is procfs here",
}
_REFUSED_PREFIXES = {"zfs": "OpenZFS doesn't answer here", "linux": _NO_KERNEL}
_READ_ONLY = ("dying", "children.cur", "parent")

TABLE: dict[str, Parameter] = {
    row[0]: Parameter(row[0], row[1], row[2], row[3], row[4]) for row in _ROWS
}
REFUSALS: dict[str, str] = {**_REFUSED, "zfs.*": _REFUSED_PREFIXES["zfs"], "linux.*": _NO_KERNEL}
TOPICS = {"host": ("hostname", "domainname", "hostuuid", "hostid")}


class Jail:
    """A jail's parameters: what was said, and the defaults for the rest."""

    __slots__ = ("_said",)

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = dict(said)

    def __getitem__(self, name: str) -> Any:
        parameter = TABLE[name]
        return self._said.get(name, parameter.default)

    def says(self, name: str) -> bool:
        """Whether the parameter was given, and isn't only its default."""
        return name in self._said

    def said(self) -> dict[str, Any]:
        """What was given, in canonical form."""
        return dict(self._said)


def read(options: Mapping[str, object], *, path: str = PATH) -> Jail:
    """Check the parameters of a spec's `backend_options.jail`, or of a file.

    Raises SpecError for what is unknown or of the wrong kind, UnsupportedError for what Linux
    can't do.
    """
    said: dict[str, Any] = {}
    for given, value in options.items():
        name, switched = known_name(given, path)
        where = f"{path}.{name}"
        if name in _READ_ONLY:
            raise SpecError(where, "is read only", hint="`isolate jls` shows it")
        said[name] = TABLE[name].kind.check(value if switched is None else switched, where)
    _imply(said)
    return Jail(said)


def known_name(given: str, path: str = PATH) -> tuple[str, bool | None]:
    """The parameter's name; and False where it was switched off by jail.conf's `no` prefix."""
    if given in TABLE:
        return given, None
    why = _REFUSED.get(given) or _REFUSED_PREFIXES.get(given.partition(".")[0])
    if why is not None:
        raise UnsupportedError(
            f"{path}.{given}: jails on Linux don't have it: {why}", hint="leave the parameter out"
        )
    table, dot, last = given.rpartition(".")
    positive = f"{table}{dot}{last.removeprefix('no')}"
    if last.startswith("no") and positive in TABLE and isinstance(TABLE[positive].kind, Bool):
        return positive, False
    raise SpecError(
        f"{path}.{shown(given, 60)}", "there is no such jail parameter", hint=_near(given)
    )


def _near(given: str) -> str:
    import difflib

    close = difflib.get_close_matches(given[:60], TABLE, n=1)
    listed = "docs/reference/jail.md lists them"
    return f"did you mean {close[0]}? {listed}" if close else listed


def _imply(said: dict[str, Any]) -> None:
    """What jail(8) derives: addresses mean a restricted stack, sysvipc all three kinds."""
    for family in ("ip4", "ip6"):
        if said.get(f"{family}.addr"):
            if said.get(family) == "disable":
                raise SpecError(f"{PATH}.{family}", "disable contradicts the addresses given")
            said.setdefault(family, "new")
    if said.get("allow.sysvipc"):
        for name in ("sysvmsg", "sysvsem", "sysvshm"):
            said.setdefault(name, "new")


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Name, mark, what enforces it, default: the lines of the reference."""
    for parameter in TABLE.values():
        yield parameter.name, parameter.mark, parameter.how, _default(parameter.default)
    for name, why in REFUSALS.items():
        yield name, REFUSED, why, ""


def _default(value: object) -> str:
    if value is None or value == ():
        return ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)

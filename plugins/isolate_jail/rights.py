"""What a jail's parameters leave of the rights: its capability set and its system call filter."""

from __future__ import annotations

import os

from isolate.errors import HostError, RootfsError, UnsupportedError
from isolate.linux import capabilities
from isolate.linux.seccomp import cache
from isolate.linux.seccomp.sources import identity
from isolate.rootfs.cache import directory as cache_directory
from isolate_jail.parameters import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.seccomp.cache import Cached, Host
    from isolate.linux.seccomp.policy import Condition, Policy, Rule
    from isolate.spec.model import Spec
    from isolate_jail.parameters import Jail

AF_INET, AF_INET6, AF_PACKET = 2, 10, 17
_FAMILIES = {"ip4": AF_INET, "ip6": AF_INET6}
_SOCK_TYPE = 0xF  # beside it in the argument stand SOCK_CLOEXEC and SOCK_NONBLOCK
_SOCK_DGRAM, _SOCK_RAW, _SOCK_PACKET = 2, 3, 10
_PING = {AF_INET: 1, AF_INET6: 58}  # IPPROTO_ICMP, IPPROTO_ICMPV6

# linux/fs.h: set the flags of inodes, in 64 and 32 bits, and the extended ones
_FLAG_IOCTLS = (0x40086602, 0x40046602, 0x401C5820)
_EAFNOSUPPORT, _ENOSYS = 97, 38
_MAP_LOCKED, _SHM_LOCK = 0x2000, 11

MOUNT_CALLS = (
    "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree umount umount2"
).split()
_DEBUG_CALLS = "pidfd_getfd process_vm_readv process_vm_writev ptrace".split()
_SYSV_CALLS = {
    "sysvmsg": "msgctl msgget msgrcv msgsnd".split(),
    "sysvsem": "semctl semget semop semtimedop".split(),
    "sysvshm": "shmat shmctl shmdt shmget".split(),
}
# What SYS_ADMIN would bring that no jail parameter asks for.
_ADMIN_CALLS = (
    "bpf fanotify_init lookup_dcookie lsm_list_modules lsm_set_self_attr perf_event_open"
).split()
_MODULE_CALLS = "delete_module finit_module init_module ioperm iopl kexec_load".split()
_CLOCK_CALLS = "adjtimex clock_adjtime clock_settime settimeofday".split()
_MEMORY_CALLS = "mlock mlock2 mlockall".split()

# The super-user of a jail: what stays inside its user namespace.
_SUPER_USER = capabilities.to_mask(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP SETFCAP SYS_CHROOT KILL"
    ).split()
)
_BY_LEVEL = (
    (1, "CAP_LINUX_IMMUTABLE CAP_SYS_MODULE CAP_SYS_RAWIO"),
    (2, "CAP_SYS_TIME"),
    (3, "CAP_NET_ADMIN"),
)
# Switches whose right the kernel wants in its first user namespace.
_HOST_ONLY = {
    "allow.adjtime": "CAP_SYS_TIME",
    "allow.settime": "CAP_SYS_TIME",
    "allow.setaudit": "CAP_AUDIT_CONTROL",
    "allow.extattr": "CAP_SYS_ADMIN",
}


def forbidden_by_level(jail: Jail) -> int:
    """The capabilities that the securelevel takes away."""
    names = [
        name for level, text in _BY_LEVEL if jail["securelevel"] >= level for name in text.split()
    ]
    return capabilities.to_mask(names)


def capability_mask(spec: Spec, jail: Jail, *, shared_network: bool) -> int:
    """The bounding, permitted and effective set. Raises UnsupportedError for contradictions."""
    asked = spec.privileges
    own_users = asked.users != "host"
    base = _of_switches(jail, own_users=own_users, shared_network=shared_network)
    if asked.capabilities is not None:
        base = capabilities.to_mask(asked.capabilities)
    if "ALL" in asked.cap_drop:
        base = 0
    dropped = capabilities.to_mask(name for name in asked.cap_drop if name != "ALL")
    wanted = capabilities.to_mask(asked.cap_add)
    forbidden = forbidden_by_level(jail)
    if wanted & forbidden:
        names = ", ".join(capabilities.to_names(wanted & forbidden))
        raise UnsupportedError(
            f"securelevel {jail['securelevel']} takes away {names}",
            hint="lower the securelevel, or don't add the capability",
        )
    return ((base & ~dropped) | wanted) & ~forbidden


def _of_switches(jail: Jail, *, own_users: bool, shared_network: bool) -> int:
    names: list[str] = []
    for switch, name in _HOST_ONLY.items():
        if jail[switch]:
            _need_host_users(switch, own_users=own_users)
            names.append(name)
    for switch, name in (("allow.raw_sockets", "CAP_NET_RAW"), ("allow.routing", "CAP_NET_ADMIN")):
        if jail[switch]:
            _need_host_users(switch, own_users=own_users and shared_network)
            names.append(name)
    if jail["allow.suser"]:
        names += _of_super_user(jail, own_users=own_users)
    return capabilities.to_mask(names)


def _of_super_user(jail: Jail, *, own_users: bool) -> list[str]:
    names = list(capabilities.to_names(_SUPER_USER))
    if jail["allow.reserved_ports"]:
        names.append("CAP_NET_BIND_SERVICE")
    if (jail["allow.set_hostname"] or jail["allow.mount"]) and own_users:
        names.append("CAP_SYS_ADMIN")  # in its own namespaces, and what it opens is filtered
    elif jail["allow.mount"] or (jail.says("allow.set_hostname") and jail["allow.set_hostname"]):
        raise UnsupportedError(
            f"{PATH}: mounting and naming the host need a user namespace of the jail's own",
            hint="leave --userns=host out",
        )
    return names


def _need_host_users(switch: str, *, own_users: bool) -> None:
    """Refuse where the jail has a user namespace of its own."""
    if own_users:
        raise UnsupportedError(
            f"{PATH}.{switch}: the kernel grants this only in its first user namespace",
            hint="as root: --userns=host; or leave the parameter out",
        )


def program(jail: Jail, mask: int, disabled: frozenset[str]) -> Cached:
    """The compiled filter of these parameters. `disabled` are of `ip4` and `ip6`.

    Raises HostError where libseccomp is missing.
    """
    switches = sorted((name, str(jail[name])) for name in _FILTERED)
    key = f"{mask:x} {sorted(disabled)} {switches} {identity(__file__)}".encode()
    try:
        return cache.own("jail", key, _directory(), lambda host: policy(jail, mask, disabled, host))
    except OSError as error:
        raise HostError(
            f"the jail's seccomp filter can't be compiled: {error}", hint="install libseccomp2"
        ) from error


_FILTERED = (
    "allow.chflags allow.extattr allow.mlock allow.mount allow.quotas allow.raw_sockets "
    "allow.read_msgbuf allow.set_hostname allow.socket_af allow.unprivileged_proc_debug "
    "children.max securelevel sysvmsg sysvsem sysvshm allow.settime allow.adjtime"
).split()


def _directory() -> str | None:
    """Where compiled filters are kept; without a usable cache each run compiles."""
    try:
        path = f"{cache_directory()}/seccomp"
        os.makedirs(path, 0o700, exist_ok=True)
    except (OSError, RootfsError):
        return None
    return path


def policy(jail: Jail, mask: int, disabled: frozenset[str], host: Host) -> Policy:
    """The default profile for these capabilities, with the jail's switches: what they close goes
    before what the profile allows, as the stricter of two rules wins."""
    from isolate.linux.seccomp import default
    from isolate.linux.seccomp.policy import ALLOW, EPERM, ERRNO, Policy, Rule

    machine, kernel = host
    base = default.policy(mask, machine=machine, kernel=kernel)
    opened = [Rule(ALLOW, names) for names in _opened(jail)]
    # Each name in a rule of its own: a name that libseccomp doesn't know can't be restricted, but
    # the profile doesn't allow it either.
    known = {name for rule in (*base.rules, *opened) for name in rule.names}
    closed = [Rule(ERRNO | EPERM, [name]) for name in _closed(jail, mask) if name in known]
    return Policy(
        base.default,
        [*base.rules, *opened, *closed, *_sockets(jail, disabled), *_arguments(jail)],
        arches=base.arches,
        named=base.named,
    )


def _opened(jail: Jail) -> list[list[str]]:
    opened = []
    if jail["children.max"]:
        opened.append(["clone", "setns", "unshare", *MOUNT_CALLS, "pivot_root", "sethostname"])
    if jail["allow.quotas"]:
        opened.append(["quotactl", "quotactl_fd"])
    if jail["allow.read_msgbuf"]:
        opened.append(["syslog"])
    if jail["allow.socket_af"]:
        opened.append(["socket"])
    return opened


def _closed(jail: Jail, mask: int) -> list[str]:
    level, children = jail["securelevel"], jail["children.max"]
    clocks = level < 2 and (jail["allow.settime"] or jail["allow.adjtime"])
    table: list[tuple[bool, list[str]]] = [
        (children, ["setns", "unshare"]),
        (children or jail["allow.mount"], MOUNT_CALLS),
        (children or jail["allow.set_hostname"], ["sethostname", "setdomainname"]),
        (jail["allow.quotas"], ["quotactl", "quotactl_fd"]),
        (jail["allow.read_msgbuf"], ["syslog"]),
        (jail["allow.mlock"], _MEMORY_CALLS),
        (jail["allow.unprivileged_proc_debug"], _DEBUG_CALLS),
        *((jail[kind] != "disable", names) for kind, names in _SYSV_CALLS.items()),
        (level < 1, _MODULE_CALLS),
        (clocks, _CLOCK_CALLS),
        (not mask & capabilities.to_mask(["CAP_SYS_ADMIN"]), _ADMIN_CALLS),
    ]
    return [name for allowed, names in table if not allowed for name in names]


def _sockets(jail: Jail, disabled: frozenset[str]) -> list[Rule]:
    from isolate.linux.seccomp.policy import EPERM, ERRNO, Rule

    rules = [
        Rule(ERRNO | _EAFNOSUPPORT, ["socket"], [_low(0, _FAMILIES[name])])
        for name in sorted(disabled)
    ]
    if not jail["allow.raw_sockets"]:
        for family in (AF_INET, AF_INET6):
            for kind in (_SOCK_RAW, _SOCK_PACKET):
                conditions = [_low(0, family), _masked(1, _SOCK_TYPE, kind)]
                rules.append(Rule(ERRNO | EPERM, ["socket"], conditions))
            ping = [_low(0, family), _masked(1, _SOCK_TYPE, _SOCK_DGRAM), _low(2, _PING[family])]
            rules.append(Rule(ERRNO | EPERM, ["socket"], ping))
        rules.append(Rule(ERRNO | EPERM, ["socket"], [_low(0, AF_PACKET)]))
    return rules


def _arguments(jail: Jail) -> list[Rule]:
    from isolate.linux.seccomp import default
    from isolate.linux.seccomp.policy import EPERM, ERRNO, Rule

    rules = []
    if not jail["allow.chflags"] or jail["securelevel"] >= 1:
        rules += [Rule(ERRNO | EPERM, ["ioctl"], [_low(1, number)]) for number in _FLAG_IOCTLS]
    if not jail["allow.mlock"]:
        rules.append(Rule(ERRNO | EPERM, ["mmap"], [_masked(3, _MAP_LOCKED, _MAP_LOCKED)]))
        if jail["sysvshm"] != "disable":
            rules.append(Rule(ERRNO | EPERM, ["shmctl"], [_low(1, _SHM_LOCK)]))
    if not jail["children.max"]:
        for bit in range(32):
            flag = 1 << bit
            if flag & default.CLONE_NAMESPACES:
                rules.append(Rule(ERRNO | EPERM, ["clone"], [_masked(0, flag, flag)]))
        rules.append(Rule(ERRNO | _ENOSYS, ["clone3"]))
    # They tell the mount table by other ways; programs go back to the old ones.
    return [*rules, Rule(ERRNO | _ENOSYS, ["statmount", "listmount"])]


def _low(index: int, value: int) -> Condition:
    """Compare the half that the kernel looks at."""
    return _masked(index, 0xFFFFFFFF, value)


def _masked(index: int, mask: int, value: int) -> Condition:
    from isolate.linux.seccomp.policy import MASKED_EQ, Condition

    return Condition(index, MASKED_EQ, mask, value)

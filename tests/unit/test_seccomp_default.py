"""The default profile as data: what is allowed, to whom."""

from __future__ import annotations

import itertools

import pytest

from isolate.linux import capabilities
from isolate.linux.names import CAPABILITIES
from isolate.linux.seccomp import default
from isolate.linux.seccomp.policy import ALLOW, ENOSYS, EPERM, ERRNO, Policy

# Whatever the capabilities: refused by Docker's default profile too.
NEVER = """
_sysctl add_key afs_syscall bdflush create_module get_kernel_syms io_uring_enter io_uring_register
io_uring_setup kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl pciconfig_read
pciconfig_write pivot_root query_module request_key securebits socketcall swapoff swapon sysfs
tuxcall userfaultfd uselib ustat vm86 vm86old vserver memfd_secret open_tree_attr
""".split()

NEEDS = {
    "acct": "CAP_SYS_PACCT",
    "adjtimex": "CAP_SYS_TIME",
    "clock_adjtime": "CAP_SYS_TIME",
    "clock_settime": "CAP_SYS_TIME",
    "clone3": "CAP_SYS_ADMIN",
    "delete_module": "CAP_SYS_MODULE",
    "fanotify_init": "CAP_SYS_ADMIN",
    "finit_module": "CAP_SYS_MODULE",
    "fsconfig": "CAP_SYS_ADMIN",
    "fsmount": "CAP_SYS_ADMIN",
    "fsopen": "CAP_SYS_ADMIN",
    "fspick": "CAP_SYS_ADMIN",
    "init_module": "CAP_SYS_MODULE",
    "ioperm": "CAP_SYS_RAWIO",
    "iopl": "CAP_SYS_RAWIO",
    "kcmp": "CAP_SYS_PTRACE",
    "listmount": "CAP_SYS_ADMIN",
    "lookup_dcookie": "CAP_SYS_ADMIN",
    "mbind": "CAP_SYS_NICE",
    "mount": "CAP_SYS_ADMIN",
    "mount_setattr": "CAP_SYS_ADMIN",
    "move_mount": "CAP_SYS_ADMIN",
    "name_to_handle_at": "CAP_DAC_READ_SEARCH",
    "open_by_handle_at": "CAP_DAC_READ_SEARCH",
    "open_tree": "CAP_SYS_ADMIN",
    "pidfd_getfd": "CAP_SYS_PTRACE",
    "process_vm_readv": "CAP_SYS_PTRACE",
    "process_vm_writev": "CAP_SYS_PTRACE",
    "quotactl": "CAP_SYS_ADMIN",
    "reboot": "CAP_SYS_BOOT",
    "sethostname": "CAP_SYS_ADMIN",
    "setns": "CAP_SYS_ADMIN",
    "settimeofday": "CAP_SYS_TIME",
    "statmount": "CAP_SYS_ADMIN",
    "umount2": "CAP_SYS_ADMIN",
    "unshare": "CAP_SYS_ADMIN",
    "vhangup": "CAP_SYS_TTY_CONFIG",
}


def policy(mask: int, *, allow_32bit: bool = False, kernel: tuple[int, int] = (6, 12)) -> Policy:
    return default.policy(mask, machine="x86_64", kernel=kernel, allow_32bit=allow_32bit)


def allowed(policy: Policy, *, conditions: bool = False) -> set[str]:
    """The names allowed without conditions on arguments, or with."""
    return {
        name
        for rule in policy.rules
        for name in rule.names
        if rule.action == ALLOW and (conditions or not rule.conditions)
    }


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("allow_32bit", [False, True])
def test_never_allowed(name: str, allow_32bit: bool) -> None:
    everything = (1 << len(CAPABILITIES)) - 1
    assert name not in allowed(policy(everything, allow_32bit=allow_32bit), conditions=True)


@pytest.mark.parametrize(("name", "capability"), NEEDS.items())
def test_needs_its_capability(name: str, capability: str) -> None:
    everything = (1 << len(CAPABILITIES)) - 1
    mask = capabilities.to_mask([capability])
    assert name in allowed(policy(mask))
    assert name not in allowed(policy(everything & ~mask), conditions=True)


@pytest.mark.parametrize("name", ["bpf", "perf_event_open", "syslog"])
def test_a_finer_capability_or_sys_admin(name: str) -> None:
    finer = capabilities.to_mask(
        [{"bpf": "CAP_BPF", "perf_event_open": "CAP_PERFMON", "syslog": "CAP_SYSLOG"}[name]]
    )
    admin = capabilities.to_mask(["CAP_SYS_ADMIN"])
    assert name in allowed(policy(finer))
    assert name in allowed(policy(admin))
    assert name not in allowed(policy(capabilities.DEFAULT), conditions=True)


def test_every_condition_names_a_capability_of_the_kernel() -> None:
    assert set(default.ALLOWED_BY_CAPABILITY) <= set(CAPABILITIES)


def test_nothing_is_listed_twice() -> None:
    assert len(default.ALLOWED) == len(set(default.ALLOWED))


def test_nothing_conditional_is_in_the_main_list() -> None:
    conditional = set(itertools.chain(*default.ALLOWED_BY_CAPABILITY.values()))
    assert not conditional & set(default.ALLOWED)


def test_modify_ldt_only_with_32bit_programs() -> None:
    assert "modify_ldt" not in allowed(policy(capabilities.DEFAULT))
    assert "modify_ldt" in allowed(policy(capabilities.DEFAULT, allow_32bit=True))


def test_ptrace_only_where_it_cant_get_around_the_filter() -> None:
    assert "ptrace" in allowed(policy(0, kernel=(4, 8)))
    assert "ptrace" not in allowed(policy(0, kernel=(4, 7)))


def test_packet_sockets_need_net_raw() -> None:
    def families(mask: int) -> set[int]:
        rules = [rule for rule in policy(mask).rules if rule.names == ("socket",)]
        return {rule.conditions[0].datum for rule in rules}

    assert families(0) == {1, 2, 10, 16}
    assert families(capabilities.to_mask(["CAP_NET_RAW"])) == {1, 2, 10, 16, 17}


def test_default_action_and_what_pretends_to_be_absent() -> None:
    made = policy(capabilities.DEFAULT)
    assert made.default == ERRNO | EPERM
    absent = {n for rule in made.rules if rule.action == ERRNO | ENOSYS for n in rule.names}
    assert absent == {"clone3", "memfd_secret", "statmount", "listmount"}


def test_s390_has_clones_flags_in_the_second_place() -> None:
    made = default.policy(0, machine="s390x", kernel=(6, 12))
    [clone] = [rule for rule in made.rules if rule.names == ("clone",)]
    assert clone.conditions[0].index == 1


def test_an_unknown_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="vax"):
        default.policy(0, machine="vax", kernel=(6, 12))

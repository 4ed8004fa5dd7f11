"""The kernel's system calls, and arguments with which each can be called and nothing happens."""

from __future__ import annotations

import os

from isolate.linux.seccomp import arches
from isolate.linux.seccomp.compile import libseccomp
from isolate.linux.seccomp.numbers import number

_HIGHEST = 600  # no architecture has that many

# Nowhere a descriptor, a pointer, a size, a known flag or operation: EBADF, EFAULT or EINVAL from
# nearly all. Zeros would not be safe: sethostname(0, 0) empties the host's name, acct(0) ends
# accounting, umask(0) and setgroups(0, 0) succeed.
_INVALID = [-1] * 6

# Where that isn't safe, or where the kernel would say ENOSYS to it as if the call weren't there.
_KEY = 0x1501A7E5  # a key that no System V object has
_ARGUMENTS = {
    "alarm": [0],
    "arch_prctl": [0],
    "clone": [0x10000],  # CLONE_THREAD without memory in common: EINVAL
    "clone3": [0, 0],  # a structure of no size: EINVAL
    "futex": [1, 1, 1],  # FUTEX_WAKE at an address that isn't aligned: EINVAL
    "init_module": [0, 0, 0],  # an image of no size: ENOEXEC
    "kill": [0x7FFFFFFF, 0],  # never -1, which is everybody
    "modify_ldt": [0, 0, 0],  # read nothing
    "msgget": [_KEY, 0],  # with the flags of -1 it would make one
    "personality": [0xFFFFFFFF],  # asks
    "quotactl": [0xFFFFFFFF, 0, 0, 0],
    "semget": [_KEY, 0, 0],
    "set_tid_address": [0],
    "setfsgid": [-1],  # asks
    "setfsuid": [-1],
    "shmget": [_KEY, 0, 0],
    "socket": [1, 1, 0],  # a Unix stream, which closes with its child
}

# They end or stop the caller, begin a process, take long, act on the caller's terminal, or write to
# the kernel's log, whatever the arguments are. What filters say to them isn't asked for: each
# program needs nearly all.
EXCLUDED = frozenset(
    "exit exit_group fork pause remap_file_pages restart_syscall rt_sigreturn sync uprobe "
    "uretprobe vfork vhangup".split()
)

# Docker's default filter refuses these with Docker's default capabilities; taken from its own
# documentation and profile (moby, profiles/seccomp), without those that exist on no kernel today.
DOCKER_REFUSES = frozenset(
    "_sysctl acct add_key bpf clock_settime clone3 delete_module fanotify_init finit_module "
    "fsconfig fsmount fsopen fspick get_mempolicy init_module io_uring_enter io_uring_register "
    "io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl listmount lookup_dcookie "
    "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount mount_setattr "
    "move_mount move_pages nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open "
    "pidfd_getfd pivot_root process_madvise quotactl quotactl_fd reboot request_key set_mempolicy "
    "set_mempolicy_home_node setdomainname sethostname setns settimeofday statmount swapoff "
    "swapon sysfs syslog umount2 unshare uselib userfaultfd ustat".split()
)

# What only a filter refuses, no capability: with these arguments the kernel itself stumbles.
_GUARDED = {
    "add_key": [0, 0, 0],
    "io_uring_setup": [0, 0, 0],
    "keyctl": [0xFFFF, 0, 0],
    "unshare": [1, 0, 0],
    "userfaultfd": [0x40000000, 0, 0],
}


def table(machine: str | None = None) -> dict[str, tuple[int, list[int]]]:
    """Each system call of this machine: its number, and the arguments to try it with.

    Raises OSError where libseccomp, which knows the numbers, is missing.
    """
    native = arches.native(machine or os.uname().machine)
    found = {name: value for value in range(_HIGHEST) if (name := _name(native, value))}
    for name in DOCKER_REFUSES:  # newer ones than this libseccomp
        known = number(native, name)
        if known is not None:
            found.setdefault(name, known)
    return {
        name: (value, _ARGUMENTS.get(name, _INVALID))
        for name, value in sorted(found.items(), key=lambda item: item[1])
        if name not in EXCLUDED
    }


def _name(arch: str, value: int) -> str | None:
    try:
        name: bytes = libseccomp().resolve_syscall(arches.ARCHES[arch].token, value)
    except ValueError:  # a gap in the table, or newer than this libseccomp
        return None
    return name.decode()


def guarded(arch: str) -> dict[str, list[int]]:
    """By name: the number on an architecture (libseccomp's name), and three arguments, of calls
    that a filter should refuse and that do nothing. Empty where this machine doesn't run it."""
    if arch not in arches.foreign(os.uname().machine):
        return {}
    library = libseccomp()
    token = arches.ARCHES[arch].token
    return {
        # libseccomp adds the bit of x32, which isn't part of the number.
        name: [library.resolve_syscall(token, name) & 0xFFFF, *arguments]
        for name, arguments in _GUARDED.items()
    }

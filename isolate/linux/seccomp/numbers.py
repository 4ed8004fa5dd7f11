"""System call numbers that an older libseccomp doesn't know yet; its own answer goes first."""

from __future__ import annotations

# The same on every architecture (kernel: scripts/syscall.tbl); the first is 424.
_COMMON = {
    name: number
    for number, name in enumerate(
        (
            "pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree "
            "move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 "
            "pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd "
            "landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret "
            "process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 "
            "map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount "
            "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat "
            "listxattrat removexattrat open_tree_attr file_getattr file_setattr"
        ).split(),
        start=424,
    )
}
_OWN = {"SCMP_ARCH_X86_64": {"uretprobe": 335, "uprobe": 336}}


def number(arch: str, name: str) -> int | None:
    """The number of a newer system call on this architecture; None for one not known here."""
    return _OWN.get(arch, {}).get(name, _COMMON.get(name))

"""The default profile: what is not listed here is refused with EPERM.

Docker's default profile (moby, profiles/seccomp) is the upper bound: nothing is allowed here that
it refuses. What is refused here beside that, and why:

- every foreign ABI. A 32-bit program is killed (SIGSYS) at its first call, x32 calls get ENOSYS:
  a filter must hold in every ABI, and the rarely used ones are where kernels had their faults.
  `allow_32bit` gives the 32-bit ABI the same rules, but for socketcall(2) (ENOSYS), which hides
  its arguments; C libraries have called socket(2) itself since Linux 4.3.
- TIOCSTI and TIOCLINUX, which push input to the terminal's other users (CVE-2017-5226), compared
  in the 32 bits that the kernel looks at (CVE-2019-10063).
- address families other than unix, inet, inet6, netlink and (with CAP_NET_RAW) packet; AF_VSOCK
  leads out of the network namespace, AF_ALG to the kernel's crypto (CVE-2026-31431).
- process_vm_readv and process_vm_writev without CAP_SYS_PTRACE. ptrace(2) itself is allowed from
  Linux 4.8 on, as in Docker's: before, a tracer could get around the filter.
- adjtimex and clock_adjtime without CAP_SYS_TIME: whether they read or write is behind a pointer.
- name_to_handle_at without CAP_DAC_READ_SEARCH: it makes what open_by_handle_at(2) opens.
- modify_ldt, without `allow_32bit`: only 16- and 32-bit code needs it.
- memfd_secret (its pages can't be reclaimed), statmount and listmount (they tell what a masked
  /proc hides): ENOSYS, so that programs take the ways they had before.

Refused as in Docker's, whatever the capabilities: io_uring (its operations pass no filter),
userfaultfd, keyrings, pivot_root, kexec, swap, NUMA page moving. Calls newer than this list get
ENOSYS and not EPERM, so that C libraries fall back as on an older kernel; so does clone3, whose
flags are behind a pointer.

To have every always-allowed call in the kernel's bitmap (Linux 5.11), where a filter costs
nothing, few calls look at arguments: clone, ioctl, personality and socket.
"""

from __future__ import annotations

from isolate.linux.names import CAPABILITIES
from isolate.linux.seccomp import arches
from isolate.linux.seccomp.policy import (
    ALLOW,
    ENOSYS,
    EPERM,
    ERRNO,
    LOW_32_BITS,
    MASKED_EQ,
    Condition,
    Policy,
    Rule,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
ftruncate64 futimesat getcwd getdents getdents64 lchown lchown32 link linkat _llseek lseek lstat
lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile
sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs
tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice
write writev
fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch fanotify_mark
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""

_MEMORY = """
brk cachestat madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
process_mrelease remap_file_pages
"""

_PROCESSES = """
capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid geteuid32
getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid
getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get
ioprio_set pidfd_open pidfd_send_signal prctl prlimit64 rseq sched_getaffinity sched_getattr
sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32
setreuid setreuid32 setrlimit setsid setuid setuid32 sysinfo times ugetrlimit uname vfork wait4
waitid waitpid
get_robust_list get_thread_area set_robust_list set_thread_area set_tid_address
landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
"""

_SIGNALS = """
alarm kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack
signalfd signalfd4 sigprocmask sigreturn tgkill tkill
"""

_TIME = """
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""

_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
_newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select
"""

_COMMUNICATION = """
accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv recvfrom
recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair
ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
semtimedop_time64 shmat shmctl shmdt shmget
getrandom
"""

# ioctl is allowed but for the requests below.
ALLOWED = (
    f"{_FILES} {_MEMORY} {_PROCESSES} {_SIGNALS} {_TIME} {_WAITING} {_COMMUNICATION} ioctl"
).split()

# By libseccomp's name of the machine's own architecture. uretprobe is made by the kernel's own
# trampoline, in programs that the host observes; since Linux 6.14 it passes by all filters.
ALLOWED_BY_ARCH = {
    "SCMP_ARCH_X86_64": "arch_prctl uretprobe".split(),
    "SCMP_ARCH_AARCH64": (
        "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"
    ).split(),
    "SCMP_ARCH_PPC64LE": "swapcontext sync_file_range2".split(),
    "SCMP_ARCH_RISCV64": "riscv_flush_icache riscv_hwprobe".split(),
    "SCMP_ARCH_S390X": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr".split(),
}

ALLOWED_BY_CAPABILITY = {
    "CAP_BPF": "bpf".split(),
    "CAP_DAC_READ_SEARCH": "name_to_handle_at open_by_handle_at".split(),
    "CAP_PERFMON": "perf_event_open".split(),
    "CAP_SYSLOG": "syslog".split(),
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns statmount "
        "syslog umount umount2 unshare"
    ).split(),
    "CAP_SYS_BOOT": "reboot".split(),
    "CAP_SYS_CHROOT": "chroot".split(),
    "CAP_SYS_MODULE": "delete_module finit_module init_module".split(),
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node".split(),
    "CAP_SYS_PACCT": "acct".split(),
    "CAP_SYS_PTRACE": (
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"
    ).split(),
    "CAP_SYS_RAWIO": "ioperm iopl".split(),
    "CAP_SYS_TIME": (
        "adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime"
    ).split(),
    "CAP_SYS_TTY_CONFIG": "vhangup".split(),
}

# Refused with ENOSYS where no capability allows them, for programs have a way without.
ABSENT = "clone3 listmount memfd_secret statmount".split()

TIOCSTI, TIOCLINUX = 0x5412, 0x541C
# linux/sched.h: NEWCGROUP NEWIPC NEWNET NEWNS NEWPID NEWUSER NEWUTS; clone(2) can't NEWTIME.
CLONE_NAMESPACES = 0x7E020000
# sys/personality.h: PER_LINUX, PER_LINUX32, both with UNAME26, and the question what is set.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET = 1, 2, 10, 16, 17
FAMILIES = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)

PTRACE_SINCE = (4, 8)


def policy(
    capabilities: int,
    *,
    machine: str,
    kernel: tuple[int, int],
    allow_32bit: bool = False,
) -> Policy:
    """The default policy for a bounding set, on a machine and kernel version (6, 12)."""
    held = [name for number, name in enumerate(CAPABILITIES) if capabilities >> number & 1]
    # What a program is told about a call must not depend on its capabilities.
    conditional = {name for names in ALLOWED_BY_CAPABILITY.values() for name in names}
    rules = tuple(_rules(held, arches.native(machine), kernel, allow_32bit=allow_32bit))
    return Policy(
        ERRNO | EPERM,
        rules,
        arches=arches.compat(machine) if allow_32bit else (),
        named=conditional.union(*(rule.names for rule in rules)),
    )


def _rules(
    held: list[str], native: str, kernel: tuple[int, int], *, allow_32bit: bool
) -> Iterator[Rule]:
    allowed = {*ALLOWED, *ALLOWED_BY_ARCH.get(native, ())}
    allowed.update(*(ALLOWED_BY_CAPABILITY.get(name, ()) for name in held))
    if kernel >= PTRACE_SINCE:
        allowed.add("ptrace")
    if allow_32bit:
        allowed.add("modify_ldt")
    yield Rule(ALLOW, sorted(allowed))
    yield Rule(ERRNO | ENOSYS, [name for name in ABSENT if name not in allowed])
    for request in (TIOCSTI, TIOCLINUX):
        yield Rule(ERRNO | EPERM, ["ioctl"], [_low(1, request)])
    if "clone" not in allowed:
        # s390 has clone's flags in the second place.
        flags = 1 if native == "SCMP_ARCH_S390X" else 0
        yield Rule(ALLOW, ["clone"], [Condition(flags, MASKED_EQ, CLONE_NAMESPACES, 0)])
    for value in PERSONALITIES:
        yield Rule(ALLOW, ["personality"], [_low(0, value)])
    for family in (*FAMILIES, *([AF_PACKET] if "CAP_NET_RAW" in held else [])):
        yield Rule(ALLOW, ["socket"], [_low(0, family)])


def _low(index: int, value: int) -> Condition:
    """Compare the low half alone, where the kernel takes an int and drops the rest."""
    return Condition(index, MASKED_EQ, LOW_32_BITS, value)

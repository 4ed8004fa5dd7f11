"""Mutations of the groups net, syscall, priv, info, limit, life."""

from __future__ import annotations

from tests.support.mutations import Mutation

SOUND = ("namespaces", "jail")
CHROOT = ("chroot", "naive")
OPEN = Mutation(CHROOT, SOUND)

TABLE = {
    "net.loopback": Mutation((*CHROOT, "host network", "liar-network"), (*SOUND, "gvisor")),
    "net.interfaces": Mutation((*CHROOT, "host network"), (*SOUND, "gvisor")),
    "net.raw": Mutation((*CHROOT, "namespaces"), ("jail", "gvisor")),
    "net.peer": Mutation((*CHROOT, "host network"), (*SOUND, "gvisor")),
    "net.metadata": Mutation((*CHROOT, "host network"), (*SOUND, "gvisor")),
    "net.egress": Mutation(CHROOT, (*SOUND, "host network", "gvisor")),
    "net.vsock": OPEN,
    "syscall.matrix": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.userns": Mutation(("privileged",), (*SOUND, *CHROOT, "gvisor")),
    "syscall.mount_api": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.bpf": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.perf": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.userfaultfd": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.io_uring": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.module": Mutation(
        CHROOT,
        SOUND,
        wants=("/proc/modules",),
        stand_in={"attempt": "isolate.probe.inside.calls:set_clock"},
    ),
    "syscall.clock": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "syscall.abi32": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "priv.capabilities": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "priv.no_new_privs": Mutation((*CHROOT, "new privileges"), SOUND),
    "priv.uid_map": Mutation((*CHROOT, "privileged"), (*SOUND, "gvisor")),
    "priv.seccomp": Mutation((*CHROOT, "privileged"), SOUND),
    "priv.lsm": Mutation(
        CHROOT,
        SOUND,
        wants=("/sys/kernel/security/apparmor", "/sys/fs/selinux/enforce"),
        # Another word of the kernel's that is the host's own, or isn't.
        stand_in={"file": "uid_map"},
    ),
    "priv.fd_leak": Mutation(("naive",), (*SOUND, "chroot", "gvisor")),
    "priv.cwd": Mutation(("naive",), (*SOUND, "chroot")),
    "priv.runtime_exe": Mutation(("chroot",), SOUND),
    "priv.runtime_socket": Mutation(("volume",), (*SOUND, "chroot")),
    "priv.env": Mutation((*CHROOT, "gvisor"), SOUND),
    "info.kernel": Mutation((*SOUND, *CHROOT, "privileged"), ("gvisor",)),
    "info.telemetry": Mutation(CHROOT, (*SOUND, "gvisor")),
    "info.capacity": Mutation((*SOUND, *CHROOT), ("own meminfo",)),
    "info.paths": Mutation(("namespaces", "naive"), ("jail", "gvisor")),
    "limit.pids": OPEN,
    "limit.cpu": OPEN,
    "limit.disk": Mutation((*SOUND, "chroot"), ("read-only", "gvisor")),
    "limit.io": OPEN,
    "limit.realtime": OPEN,
    "limit.memory": OPEN,
    "limit.objects": Mutation((*SOUND, *CHROOT), ("gvisor",)),
    "life.residue": Mutation(("naive",), (*SOUND, "chroot", "gvisor")),
}

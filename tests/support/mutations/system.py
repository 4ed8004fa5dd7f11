"""Mutations of the groups fs, kernel, dev, pid, ipc, uts, time."""

from __future__ import annotations

from tests.support.mutations import Mutation

SOUND = ("namespaces", "jail")
CHROOT = ("chroot", "naive")

TABLE = {
    "fs.direct": Mutation(("volume", "host root"), ("chroot", *SOUND)),
    "fs.double_chroot": Mutation(CHROOT, SOUND),
    "fs.proc1_root": Mutation((*CHROOT, "privileged"), SOUND),
    "fs.file_handle": Mutation(("privileged", "naive"), SOUND),
    "fs.symlink_target": Mutation(("naive",), (*SOUND, "privileged")),
    "fs.suid_volume": Mutation(("privileged", "naive"), SOUND),
    "fs.base_write": Mutation(("naive",), (*SOUND, "chroot", "privileged")),
    "kernel.core_pattern": Mutation(CHROOT, (*SOUND, "privileged")),
    "kernel.sysrq": Mutation(
        CHROOT,
        SOUND,
        wants=("/proc/sysrq-trigger", "/proc/sys/kernel/sysrq"),
        stand_in={"planted": {"paths": ["/proc/sys/kernel/panic"]}},
    ),
    "kernel.helpers": Mutation(CHROOT, SOUND),
    "kernel.release_agent": Mutation(CHROOT, SOUND),
    "kernel.memory": Mutation(
        CHROOT,
        SOUND,
        wants=("/proc/kcore", "/dev/mem"),
        stand_in={"planted": {"paths": ["/proc/slabinfo"]}},
    ),
    "kernel.log": Mutation(CHROOT, SOUND),
    "kernel.kallsyms": Mutation(CHROOT, SOUND),
    "kernel.keys": Mutation(CHROOT, SOUND),
    "kernel.debugfs": Mutation(CHROOT, SOUND),
    "dev.disk": Mutation((*CHROOT, "privileged"), SOUND),
    "dev.nodes": Mutation((*CHROOT, "privileged"), SOUND),
    "dev.tiocsti": Mutation((*CHROOT, "privileged"), SOUND),
    "pid.visible": Mutation((*CHROOT, "liar-pids", "liar-proc"), SOUND),
    "pid.signal": Mutation((*CHROOT, "liar-pids"), SOUND),
    "pid.ptrace": Mutation((*CHROOT, "liar-pids"), SOUND),
    "pid.vm_read": Mutation((*CHROOT, "liar-pids"), SOUND),
    "pid.setns": Mutation((*CHROOT, "liar-pids"), SOUND),
    "ipc.shm": Mutation(CHROOT, SOUND),
    "ipc.posix": Mutation(CHROOT, SOUND),
    "ipc.abstract": Mutation((*CHROOT, "host network", "liar-network"), SOUND),
    "ipc.keyring": Mutation(CHROOT, SOUND),
    "uts.name": Mutation(CHROOT, SOUND),
    "time.boot": Mutation(CHROOT, SOUND),
}

"""Registers the catalogue's probes, as a third party's plugin registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.hookspecs import hookimpl

if TYPE_CHECKING:
    from isolate.plugins import Registry

_CATALOGUE = "isolate.probe.catalogue"

# The order of the matrix.
PROBES = {
    "fs.direct": ("fs:Direct", "open a file of the host by its path"),
    "fs.double_chroot": ("fs:DoubleChroot", "leave the root by a second chroot"),
    "fs.proc1_root": ("fs:Proc1Root", "read a file of the host through /proc/1/root"),
    "fs.file_handle": ("fs:FileHandle", "open a file of the host by its file handle"),
    "fs.symlink_target": ("fs:SymlinkTarget", "mount at a target that is a link to the host"),
    "fs.suid_volume": ("fs:SuidVolume", "put a set-uid root file into a volume"),
    "fs.base_write": ("fs:BaseWrite", "change a file of the image"),
    "kernel.core_pattern": ("kernel:CorePattern", "choose what runs at a core dump"),
    "kernel.sysrq": ("kernel:Sysrq", "open the emergency switches"),
    "kernel.helpers": ("kernel:Helpers", "choose what the kernel runs as its helpers"),
    "kernel.release_agent": ("kernel:ReleaseAgent", "choose what runs when a cgroup is left"),
    "kernel.memory": ("kernel:Memory", "read a byte of the machine's memory"),
    "kernel.log": ("kernel:Log", "read the kernel's log"),
    "kernel.kallsyms": ("kernel:Kallsyms", "read addresses of the kernel's symbols"),
    "kernel.keys": ("kernel:Keys", "list a key of the host's"),
    "kernel.debugfs": ("kernel:Debugfs", "list debugfs, tracefs, efivarfs"),
    "dev.disk": ("dev:Disk", "open the host's disk"),
    "dev.nodes": ("dev:Nodes", "open kvm, fuse, tun, loop-control, vhost"),
    "dev.tiocsti": ("dev:Tiocsti", "type into the caller's terminal"),
    "pid.visible": ("pid:Visible", "see a process of the host's"),
    "pid.signal": ("pid:Signal", "send it a signal"),
    "pid.ptrace": ("pid:Ptrace", "read its memory as a debugger"),
    "pid.vm_read": ("pid:VmRead", "read its memory"),
    "pid.setns": ("pid:Setns", "join its mount namespace"),
    "ipc.shm": ("ipc:SharedMemory", "read shared memory of the host's"),
    "ipc.posix": ("ipc:Posix", "read a message queue, or /dev/shm, of the host's"),
    "ipc.abstract": ("ipc:Abstract", "send to an abstract socket of the host's"),
    "ipc.keyring": ("ipc:Keyring", "find and read a key of the host's"),
    "uts.name": ("uts:Name", "rename the host"),
    "time.boot": ("time:Boot", "tell when the host was booted"),
}


@hookimpl(tryfirst=True)  # the ids of the catalogue are its own
def isolate_register_probes(registry: Registry) -> None:
    """Register them; each is imported when it is wanted."""
    for name, (place, summary) in PROBES.items():
        registry.add(name, f"{_CATALOGUE}.{place}", summary=summary)

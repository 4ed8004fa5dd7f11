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
    "net.loopback": ("net:Loopback", "connect to the host's 127.0.0.1"),
    "net.interfaces": ("net:Interfaces", "see the host's network cards"),
    "net.raw": ("net:Raw", "open raw and packet sockets"),
    "net.peer": ("net:Peer", "connect to another container"),
    "net.metadata": ("net:Metadata", "connect to a link-local address of the host"),
    "net.egress": ("net:Egress", "send data out with the network denied"),
    "net.vsock": ("net:Vsock", "open a socket towards the hypervisor"),
    "syscall.matrix": ("syscall:Matrix", "call each system call"),
    "syscall.userns": ("syscall:UserNamespace", "make a user namespace"),
    "syscall.mount_api": ("syscall:MountApi", "mount by the old and the new calls"),
    "syscall.bpf": ("syscall:Bpf", "make a BPF map"),
    "syscall.perf": ("syscall:Perf", "open a performance counter"),
    "syscall.userfaultfd": ("syscall:Userfaultfd", "handle page faults"),
    "syscall.io_uring": ("syscall:IoUring", "make an io_uring"),
    "syscall.module": ("syscall:Module", "load a kernel module"),
    "syscall.clock": ("syscall:Clock", "set the clock"),
    "syscall.abi32": ("syscall:Abi32", "call by the entries of other ABIs"),
    "priv.capabilities": ("priv:Capabilities", "hold capabilities over the host"),
    "priv.no_new_privs": ("priv:NoNewPrivileges", "become another user by a set-uid file"),
    "priv.uid_map": ("priv:UidMap", "make a file that is root's on the host"),
    "priv.seccomp": ("priv:Seccomp", "run without a system call filter"),
    "priv.lsm": ("priv:Lsm", "run without a label of AppArmor or SELinux"),
    "priv.fd_leak": ("priv:FdLeak", "use a descriptor of the launcher's"),
    "priv.cwd": ("priv:Cwd", "climb from the working directory"),
    "priv.runtime_exe": ("priv:RuntimeExe", "open the runtime's executable for writing"),
    "priv.runtime_socket": ("priv:RuntimeSocket", "connect to the runtime's socket"),
    "priv.env": ("priv:Env", "read the launcher's environment"),
    "info.kernel": ("info:Kernel", "ask which kernel runs"),
    "info.telemetry": ("info:Telemetry", "read the machine's counters"),
    "info.capacity": ("info:Capacity", "ask how much memory there is"),
    "info.paths": ("info:Paths", "read paths of the host in the mount table"),
    "limit.pids": ("limit:Pids", "start more processes than its limit"),
    "limit.cpu": ("limit:Cpu", "use more CPU time than its limit"),
    "limit.disk": ("limit:Disk", "take the host's disk"),
    "limit.io": ("limit:Io", "write faster than its limit"),
    "limit.realtime": ("limit:Realtime", "take a real-time priority"),
    "limit.memory": ("limit:Memory", "allocate more than its memory limit"),
    "limit.objects": ("limit:Objects", "take terminals and open files from all"),
    "life.residue": ("life:Residue", "leave something behind when the supervisor is killed"),
}


@hookimpl(tryfirst=True)  # the ids of the catalogue are its own
def isolate_register_probes(registry: Registry) -> None:
    """Register them; each is imported when it is wanted."""
    for name, (place, summary) in PROBES.items():
        registry.add(name, f"{_CATALOGUE}.{place}", summary=summary)

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
}


@hookimpl
def isolate_register_probes(registry: Registry) -> None:
    """Register them; each is imported when it is wanted."""
    for name, (place, summary) in PROBES.items():
        registry.add(name, f"{_CATALOGUE}.{place}", summary=summary)

"""Registers the metrics, as a third party's plugin registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.hookspecs import hookimpl

if TYPE_CHECKING:
    from isolate.plugins import Registry

_METRICS = "isolate.compare.metrics"

# The order of the rows.
METRICS = {
    "startup": ("starting:Startup", "from the call to the program's first byte, warm"),
    "command": ("starting:Command", "the wall time of the cold command `isolate run ... -- true`"),
    "rate": ("starting:Rate", "launches a second, as many at once as the number says"),
    "syscall": ("kernel:SystemCall", "a cheap system call, net of its loop"),
    "fork_exec": ("kernel:ForkExec", "fork, execute the smallest program, wait for it"),
    "context_switch": ("kernel:ContextSwitch", "two processes on one CPU hand over a byte"),
    "page_fault": ("kernel:PageFault", "touch a fresh page of anonymous memory"),
    "metadata": ("storage:Metadata", "create a file in the writable layer, stat it, remove it"),
    "io": ("storage:Io", "files in the writable layer; reads come from the page cache"),
    "fio": ("storage:Fio", "the same by fio"),
    "network": ("network:Loopback", "TCP over the loopback inside"),
    "network.host": ("network:ToHost", "a byte to a server on the host and back, by TCP"),
    "iperf3": ("network:Iperf", "a MiB over the loopback inside, by iperf3"),
    "memory": ("memory:Memory", "MemAvailable that each of several idle containers takes"),
    "density": ("memory:Density", "idle containers until the 95th percentile of startup doubles"),
    "workload": ("workload:Workload", "the given program, from the call to its end"),
}


@hookimpl
def isolate_register_metrics(registry: Registry) -> None:
    """Register them; each is imported when it is wanted."""
    for name, (place, summary) in METRICS.items():
        registry.add(name, f"{_METRICS}.{place}", summary=summary)

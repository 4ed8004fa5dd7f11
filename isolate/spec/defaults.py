"""What a container sees of proc, sys and dev by default; the lists follow Docker's and go on."""

from __future__ import annotations

import os

# Hidden. Beyond Docker's list: kallsyms (kernel addresses), the telemetry of interrupts and
# softirqs, and what tells of the host's other work.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/mtrr",
    "/proc/pagetypeinfo",
    "/proc/sched_debug",
    "/proc/schedstat",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/fs/pstore",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
)

# Empty, with that mode, where the root is the host's own tree: what its programs run with.
HIDDEN_OF_HOST = (("/run", "0755"), ("/tmp", "1777"), ("/var/tmp", "1777"))  # noqa: S108 - inside

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# OCI runtime specification, config-linux.md, Default Devices.
DEVICES = {
    "/dev/null": os.makedev(1, 3),
    "/dev/zero": os.makedev(1, 5),
    "/dev/full": os.makedev(1, 7),
    "/dev/random": os.makedev(1, 8),
    "/dev/urandom": os.makedev(1, 9),
    "/dev/tty": os.makedev(5, 0),
}

DEVICE_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)

# What the device cgroup allows: (type, major, minor, access); -1 is any. mknod is harmless, as
# nodes on the container's filesystems aren't honoured.
DEVICE_RULES = (
    *(("c", os.major(number), os.minor(number), "rw") for number in DEVICES.values()),
    ("c", 5, 2, "rw"),  # ptmx
    ("c", 136, -1, "rw"),  # pts
)

SHM_BYTES = 64 * 2**20
DEV_BYTES = 64 * 2**10

# Left unsaid, a fork bomb should end at the container's bound and not at the host's.
PIDS = 4096

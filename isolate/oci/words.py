"""The words that OCI and the spec have for the same things, as tables for both directions."""

from __future__ import annotations

VERSION = "1.2.0"
PREFIX = "isolate."  # of the annotations that hold what OCI has no word for
CGROUPS_PATH = "org.opencontainers.runtime-spec.cgroupsPath"  # kept as an annotation of the spec

# linux.namespaces[].type, config-linux.md.
NAMESPACES = {
    "mounts": "mount",
    "pids": "pid",
    "network": "network",
    "ipc": "ipc",
    "hostname": "uts",
    "users": "user",
    "cgroups": "cgroup",
    "time": "time",
}

HOOKS = {
    "prestart": "prestart",
    "create_runtime": "createRuntime",
    "create_container": "createContainer",
    "start_container": "startContainer",
    "poststart": "poststart",
    "poststop": "poststop",
}

THROTTLES = {
    "rbps": "throttleReadBpsDevice",
    "wbps": "throttleWriteBpsDevice",
    "riops": "throttleReadIOPSDevice",
    "wiops": "throttleWriteIOPSDevice",
}

# Fields without a word in OCI; their values stand in annotations, as JSON.
CARRIED = (
    "root.source",
    "process.interactive",
    "process.init",
    "limits.timeout",
    "limits.output",
    "privileges.privileged",
    "privileges.unmask",
    "require",
    "allow_degraded",
    "backend_options",
)

UNLIMITED = 2**64 - 1  # RLIM_INFINITY as the unsigned number that rlimits are in OCI
QUOTA_PERIOD = 100_000  # microseconds

# The kernel filesystems that a container has without asking: destination, type, and the options
# that say no more than that.
SAFE = ("nosuid", "nodev", "noexec")


class User:
    """Who the program runs as, in numbers inside the container.

    `home` becomes HOME where the spec's environment has none.
    """

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(
        self, uid: int, gid: int, groups: tuple[int, ...] = (), home: str | None = None
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home

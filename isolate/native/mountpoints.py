"""Mount points for runtimes that take paths: found behind the root's symbolic links beforehand.

A runtime would follow the links of a hostile root against the host, or not at all. So it is given
paths without them (CVE-2021-30465), resolved by descriptor while nothing runs in the root.
"""

from __future__ import annotations

import os

from isolate.errors import LaunchError
from isolate.linux import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.spec.model import Spec

KERNEL = ("/proc", "/sys", "/dev")  # made by the runtime, whatever is in the root


def on_kernel_filesystem(path: str) -> bool:
    """Whether it lies on a filesystem that the runtime makes afresh."""
    return any(f"{path}/".startswith(f"{each}/") for each in KERNEL)


def resolvable(spec: Spec) -> list[str]:
    """The mount points that lie in the root itself: not on the kernel's filesystems, and not on
    what an earlier mount of the spec shows."""
    found: list[str] = []
    covered: list[str] = []
    for asked in spec.mounts:
        below = any(f"{asked.target}/".startswith(f"{each.rstrip('/')}/") for each in covered)
        if not below and not on_kernel_filesystem(asked.target):
            found.append(asked.target)
        covered.append(asked.target)
    return found


def volume_below(spec: Spec, number: int) -> int | None:
    """The number of the volume in which a mount point of the spec lies; None: it lies in none."""
    target = spec.mounts[number].target
    for earlier in range(number - 1, -1, -1):
        above = spec.mounts[earlier]
        if f"{target}/".startswith(f"{above.target.rstrip('/')}/"):
            return earlier if above.type == "bind" else None
    return None


def canonical(root: int, path: str) -> str:
    """The path without symbolic links, as seen from inside. Raises LaunchError."""
    try:
        descriptor = resolve.open_in_root(root, path, os.O_PATH)
    except OSError as error:
        raise LaunchError(f"the mount point {path}: {error.strerror}") from None
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)

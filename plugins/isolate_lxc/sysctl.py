"""Kernel parameters of a container's namespaces, set from outside.

LXC would write them by the container's own proc, which is read-only by then. A process of ours
enters the namespaces, as the root user that they belong to, and writes by the host's procfs, which
nobody inside can redirect.
"""

from __future__ import annotations

import os

from isolate.linux import namespaces, process
from isolate.native import errand
from isolate.native.failure import from_child
from isolate.spec.texts import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_JOINED = namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWUTS


def write(pid: int, start_time: int, values: Mapping[str, str]) -> None:
    """Set them in the namespaces of a process. Raises LaunchError."""
    if not values:
        return
    own_users = namespaces.identity(pid, "user") != namespaces.identity("self", "user")
    flags = _JOINED | (namespaces.CLONE_NEWUSER if own_users else 0)
    target = process.open_pidfd(pid, start_time)
    try:
        errand.run(lambda: _write(target, flags, values))
    except OSError as error:
        step = f"sysctl.{error.filename}" if error.filename else "sysctl"
        raise from_child(step, error.errno or 0, str(error.strerror), "") from None
    finally:
        os.close(target)


def _write(target: int, flags: int, values: Mapping[str, str]) -> None:
    namespaces.setns(target, flags)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    for key, value in values.items():
        try:
            descriptor = os.open(f"/proc/sys/{sysctl_path(key)}", os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, value.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, key) from None

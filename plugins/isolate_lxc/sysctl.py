"""Kernel parameters of a container's namespaces, set from outside.

LXC would write them by the container's own proc, which is read-only by then. A process of ours
enters the namespaces, as the root user that they belong to, and writes by the host's procfs, which
nobody inside can redirect.
"""

from __future__ import annotations

import os

from isolate.linux import namespaces, process
from isolate.native.channel import pair
from isolate.native.failure import from_child
from isolate.spec.texts import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from isolate.native.channel import Channel

_JOINED = namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWUTS


def write(pid: int, start_time: int, values: Mapping[str, str]) -> None:
    """Set them in the namespaces of a process. Raises LaunchError."""
    if not values:
        return
    target = process.open_pidfd(pid, start_time)
    own_users = namespaces.identity(pid, "user") != namespaces.identity("self", "user")
    ours, theirs = pair()
    child, pidfd = namespaces.clone(0)
    if child == 0:
        ours.close()
        flags = _JOINED | (namespaces.CLONE_NEWUSER if own_users else 0)
        _write(target, flags, values, theirs)
    theirs.close()
    os.close(pidfd)
    os.close(target)
    try:
        message = ours.receive()
    finally:
        ours.close()
        os.waitpid(child, 0)
    if message is not None:
        raise from_child(f"sysctl.{message[2]}", message[0], message[1], "")


def _write(target: int, flags: int, values: Mapping[str, str], channel: Channel) -> NoReturn:
    key = ""
    try:
        namespaces.setns(target, flags)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        for key, value in values.items():
            descriptor = os.open(f"/proc/sys/{sysctl_path(key)}", os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, value.encode())
    except OSError as error:
        channel.send(error.errno or 0, str(error.strerror), key)
    finally:
        os._exit(0)

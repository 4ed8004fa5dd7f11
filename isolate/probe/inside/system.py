"""Attempts on what names and dates the machine: its host name, the time of its boot."""

from __future__ import annotations

import contextlib
import os
import socket
import time


def rename_host() -> dict[str, object]:
    """Give the host the name that it has; the namespace in which that succeeded."""
    socket.sethostname(socket.gethostname())
    namespace = None
    with contextlib.suppress(OSError):
        namespace = os.stat("/proc/self/ns/uts").st_ino
    return {"name": socket.gethostname(), "namespace": namespace}


def boot_time() -> float:
    """When the machine was booted, in seconds since the epoch, by its own clocks."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

"""The oldest kernel that native backends run on: one with pidfds (Linux 5.3).

Everything younger has another way: mounts, clones, cgroups, path lookups. Not this: a process that
is known by its pid alone may be another one when the signal arrives.
"""

from __future__ import annotations

from isolate.backend.types import Problem
from isolate.linux import process


def problems() -> list[Problem]:
    """What this kernel lacks."""
    if process.has_pidfds():
        return []
    return [
        Problem(
            what="the kernel lacks pidfd_open(2)",
            remedy="use Linux 5.3 or later; an outer container's filter may hide it",
        )
    ]

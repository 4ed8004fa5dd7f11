"""Views as namespaces: which this kernel has, and the clone flags that make them."""

from __future__ import annotations

import os

from isolate.linux.namespaces import FILES, FLAGS
from isolate.spec.model import VIEWS

_supported: list[frozenset[str]] = []  # once known, for good: a kernel has them built in or not


def supported() -> frozenset[str]:
    """The views for which this kernel has a namespace."""
    if not _supported:
        _supported.append(
            frozenset(view for view in VIEWS if os.path.exists(f"/proc/self/ns/{FILES[view]}"))
        )
    return _supported[0]


def clone_flags(chosen: frozenset[str]) -> int:
    """The flags of the first clone. The cgroup and time namespaces are entered later, by the
    child: one after it has joined its cgroup, the other with its clocks set."""
    flags = 0
    for view in chosen - {"cgroups", "time"}:
        flags |= FLAGS[view]
    return flags

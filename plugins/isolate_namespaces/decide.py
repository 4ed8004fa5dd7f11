"""What a spec means on this host: which namespaces, which capabilities."""

from __future__ import annotations

import os

from isolate.native.views import supported
from isolate.spec import meaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.spec.model import Spec


def views(spec: Spec) -> frozenset[str]:
    """The namespaces to make, of those that this kernel has.

    An ordinary user has no cgroup by which stray processes are found: they end with their pid 1.
    """
    chosen = meaning.views(spec, supported())
    return chosen if os.geteuid() == 0 else chosen | {"pids"}


def capability_mask(spec: Spec) -> int:
    """The bounding, permitted and effective set."""
    return meaning.capability_mask(spec)

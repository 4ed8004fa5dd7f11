"""A container's root as one detached mount, for runtimes that are handed a directory."""

from __future__ import annotations

import os

from isolate.native import roots, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.backend.types import Context
    from isolate.native.maps import Maps
    from isolate.native.mount_steps import Bind
    from isolate.native.prepared import Prepared

ROOT = "root.detached"


def open_root(
    context: Context, maps: Maps | None, binds: Sequence[Bind], prepared: Prepared
) -> int:
    """The root, with its writable layer, its owners seen through the user map: ready before any
    process of the container exists. Root only.

    `binds` are volumes, opened in `prepared`; those with idmap are mapped alike. The descriptor
    is in `prepared` too. Raises OSError, HostError.
    """
    root = roots.prepare(context, prepared)
    if maps is None:
        root.configure(os.getpid(), None, binds)
    else:
        with userns.Holder(maps.uids, maps.gids) as pid:
            root.configure(pid, maps.uids, binds)
    prepared[ROOT] = root.step.open(prepared)
    return prepared[ROOT]

"""Volumes whose owners are mapped: refused where what root inside leaves there is a way up.

Through such a mount root inside writes files of the host's owners, root's among them, and may give
them the set-uid bit. That the mount is nosuid holds inside alone. So a writable one must lie where
nobody else on the host can execute what is in it.
"""

from __future__ import annotations

import os

from isolate.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.spec.model import Spec

_ENTERED_BY_OTHERS = 0o011  # search permission of the group and of everybody else


def refuse_unsafe(spec: Spec) -> None:
    """Raises UnsupportedError. A volume with `suid` is taken: set-uid files are asked for."""
    for number, mount in enumerate(spec.mounts):
        if mount.idmap and not mount.readonly and not mount.suid and mount.source is not None:
            source = os.path.realpath(mount.source)
            if not (_nosuid(source) or any(map(_closed, _way_to(source)))):
                raise UnsupportedError(
                    f"mounts[{number}].idmap: root inside could leave programs below {source} that "
                    "anybody on the host may run as the host's root",
                    hint="close a directory on the way to it (chmod 700), mount it read-only, or "
                    "say that set-uid files are meant: suid=true in --mount",
                )


def _way_to(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)


def _closed(path: str) -> bool:
    """Whether it is a directory of root's that nobody else can enter."""
    try:
        found = os.stat(path)
    except OSError:
        return False  # whoever opens the volume says why
    mode_closed = found.st_mode & _ENTERED_BY_OTHERS == 0
    return mode_closed and found.st_uid == 0 and os.path.isdir(path)


def _nosuid(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOSUID)
    except OSError:
        return False

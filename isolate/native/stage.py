"""A stage: what a driven runtime finds by path, in a mount namespace made for it alone.

Nothing is mounted on the host. A runtime enters the root as a user who isn't the host's root, and
no path leads that user through the state directory (mode 0700); so what was prepared is attached
on a directory that everyone may pass, which only this mount namespace covers.
"""

from __future__ import annotations

import os
import stat

from isolate.linux import mount
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.step import Child

# One of them is to be covered, and has nothing that the runtime needs. The last is everywhere.
_STAGES = ("/mnt", "/media", "/srv", "/opt", "/tmp")


def choose_stage(*needed: str) -> str:
    """A directory to cover, which is on the way to none of `needed`. Raises StepError."""
    for path in _STAGES:
        passable = os.path.isdir(path) and os.stat(path).st_mode & 0o001
        if passable and not any(f"{each}/".startswith(f"{path}/") for each in needed):
            return path
    raise StepError(f"none of {', '.join(_STAGES)} can be covered for the runtime's root")


class Stage(Step):
    """Cover a directory with an empty filesystem, and attach there what was prepared."""

    name = "view.stage"
    __slots__ = ("_path", "_places")

    def __init__(self, path: str, places: Sequence[tuple[str, str]]) -> None:
        """`places`: pairs of a prepared mount's name and where it is attached below `path`."""
        self._path = path
        self._places = places

    def describe(self) -> str:
        names = ", ".join(name for _prepared, name in self._places)
        return f"cover {self._path}, for this runtime only, and attach there: {names}"

    def run(self, child: Child) -> None:
        cover = mount.new_filesystem("tmpfs", mount.MOUNT_ATTR_NOEXEC, mode="0711", size="1m")
        mount.move_mount(cover, self._path)
        os.close(cover)
        for prepared, name in self._places:
            target = f"{self._path}/{name}"
            # A copy of a shared mount is its peer: what happens below would happen on the host.
            mount.mount_setattr(
                "", at=child.prepared[prepared], propagation=mount.MS_PRIVATE, recursive=True
            )
            if stat.S_ISDIR(os.fstat(child.prepared[prepared]).st_mode):
                os.mkdir(target, 0o711)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            mount.move_mount(child.prepared[prepared], target)

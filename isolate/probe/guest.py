"""A Python for roots that have none: that of `base`, lent read-only at a private path.

It is run by its own dynamic loader, so that nothing of it need be found in the root, and it finds
its library from the place of its executable.
"""

from __future__ import annotations

import os

from isolate import rootfs
from isolate.errors import IsolateError
from isolate.rootfs import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACE = "/.isolate-python"  # where it appears inside


class Python:
    """The interpreter of `base`, held so that the cache doesn't drop it. Raises IsolateError.

    Attributes:
        command: what runs it inside.
        overlay: the part of a spec document that puts it there.
    """

    def __init__(self) -> None:
        base = rootfs.prepare("base")
        if base.python is None:
            raise IsolateError(
                "base has no Python that could be lent to another root",
                hint="use a root that has one",
            )
        (layer,) = base.layers
        self.command = _command(layer, base.python)
        self.overlay: dict[str, Any] = {
            "mounts": [{"type": "bind", "source": layer, "target": PLACE, "readonly": True}]
        }
        self._held = base.hold()

    def close(self) -> None:
        """Let the cache have it back."""
        os.close(self._held)


def _command(layer: str, python: str) -> list[str]:
    """The loader with the libraries' directory, and the interpreter; all by their places inside.

    Every library of `base` lies in the loader's own directory.
    """
    program = os.path.realpath(layer + python)
    interpreter = elf.read(program).interpreter
    inside = PLACE + program.removeprefix(layer)
    if interpreter is None:
        return [inside]  # linked statically
    loader = os.path.realpath(layer + interpreter)
    place = PLACE + loader.removeprefix(layer)
    return [place, "--library-path", os.path.dirname(place), inside]

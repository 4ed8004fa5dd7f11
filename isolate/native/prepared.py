"""Descriptors that a launcher opens before the clone, which the child's steps use by name."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Prepared(dict[str, int]):
    """Open descriptors by name; closed in the launcher when its `with` block ends.

    The child has its own copies of them, which end with its execve(2).
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for descriptor in self.values():
            os.close(descriptor)
        self.clear()

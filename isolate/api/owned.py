"""What belongs to the process that made it, and should be closed: sandboxes and pools."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from typing import Self

from isolate.errors import StateError


class Owned(ABC):
    """A context manager that closes itself. A forked child can't use its parent's."""

    _closed = True  # until it stands
    _owner = 0

    @abstractmethod
    def _called(self) -> str:
        """What it is called in messages."""

    @abstractmethod
    def close(self) -> None:
        """Close it; idempotent."""

    @abstractmethod
    def abandon(self) -> None:
        """Close it without waiting until nothing is left."""

    def _is_ours(self) -> bool:
        return self._owner == os.getpid()

    def _check_owner(self) -> None:
        """Before anything else: in a forked child, another thread may have held a lock."""
        if not self._is_ours():
            raise StateError(
                f"{self._called()} belongs to process {self._owner}, which forked this one",
                hint="make one in the process that uses it",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"{self._called()} is closed", hint="make a new one")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._closed:
            return
        if self._is_ours():
            warnings.warn(f"{self._called()} was not closed", ResourceWarning, stacklevel=2)
        self.abandon()

"""What a source of files became: directories of the host that are ready to be mounted."""

from __future__ import annotations

import fcntl
import os

from isolate.errors import RootfsError


class Root:
    """The files of a container: read-only layers, which nobody may write to.

    `source` is the canonical form of what was asked for, with absolute paths. `kind` is "layers",
    or "host" for the host's own tree with all that is mounted in it. `layers` are absolute
    directories, the topmost first. `python` is the path inside of a Python interpreter, where one
    is known. `cached` says that the layers belong to the cache, which may drop them when unused.
    """

    __slots__ = ("cached", "kind", "layers", "python", "source")

    def __init__(
        self,
        source: str,
        layers: tuple[str, ...],
        *,
        kind: str = "layers",
        python: str | None = None,
        cached: bool = False,
    ) -> None:
        self.source = source
        self.kind = kind
        self.layers = layers
        self.python = python
        self.cached = cached

    def __repr__(self) -> str:
        return f"Root({self.source!r}, layers={self.layers!r}, kind={self.kind!r})"

    def hold(self) -> int:
        """A close-on-exec descriptor that keeps the layers from being dropped while it is open.

        It bears a shared flock(2), which a child inherits with the descriptor. Raises RootfsError
        when the layer went away after `prepare` (ask `prepare` again).
        """
        try:
            if not self.cached:
                return os.open(self.layers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            return _locked(self.layers[0])
        except OSError as error:
            raise RootfsError(
                f"the root {self.layers[0]} went away: {error.strerror}",
                hint="the cache was pruned at this moment: try again",
            ) from error


def _locked(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Who drops a layer locks it, then renames it; so under our lock the path tells.
        if not os.path.samestat(os.stat(path), os.fstat(descriptor)):
            raise FileNotFoundError(2, "it was replaced", path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

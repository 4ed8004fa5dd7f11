"""The state directory as the runtime uses it: it can delete what containers' users left."""

from __future__ import annotations

from isolate.runtime.collect import remove
from isolate.state.root import find
from isolate.state.store import Store


def open_store(argument: str | None = None) -> Store:
    """The store of `--root`, ISOLATE_ROOT or the default place. Raises StateError."""
    return Store(find(argument), rmtree=remove)

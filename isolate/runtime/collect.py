"""Garbage collection with the right to delete what a container's own users left in its layer."""

from __future__ import annotations

from isolate.state.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.state import Entry, Store
    from isolate.state.report import Report


def collect(store: Store) -> Report:
    """Undo and remove every container whose owner is dead."""
    from isolate.state import gc

    return gc.collect(store, rmtree=remove)


def collect_entry(entry: Entry) -> Report:
    """Undo and remove one container that the caller owns."""
    from isolate.state import gc

    return gc.collect_entry(entry, rmtree=remove)


def remove(path: str) -> None:
    """Delete a tree; files of an ordinary user's subordinate ids as their owner can: from a user
    namespace in which they are mapped. Raises OSError."""
    try:
        remove_tree(path)
    except PermissionError:
        from isolate.native import userns

        if not userns.call(lambda: remove_tree(path)):
            raise

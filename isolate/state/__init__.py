"""The state directory: records, locks, undo journals."""

from isolate.state.entry import Entry
from isolate.state.root import find
from isolate.state.store import Store

__all__ = ["Entry", "Store", "find"]

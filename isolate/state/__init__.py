"""The state directory: what containers there are, who owns them, and how to undo them.

`Store(find()).reserve()` gives an `Entry` to the process that supervises a container; what is
about to be made is recorded in `entry.journal`; `collect(store)` of `isolate.state.gc` undoes what
dead owners have left. Nothing is synced to disk: see `isolate.state.journal`.
"""

from isolate.state.entry import Entry
from isolate.state.journal import Journal
from isolate.state.root import find
from isolate.state.store import Store

__all__ = ["Entry", "Journal", "Store", "find"]

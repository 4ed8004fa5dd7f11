"""Making a stopped container again: what its journal names is undone, its ids and layer stay."""

from __future__ import annotations

import os

from isolate.errors import StateError
from isolate.native.launcher import START_FIFO
from isolate.runtime.collect import remove
from isolate.state.idrange import KIND as IDS
from isolate.state.journal import Journal
from isolate.state.undo import undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.state import Entry


def clear(entry: Entry) -> None:
    """Undo all that was made for the container but its ids, and begin a new journal.

    Killed anywhere in between, the old journal still stands and everything in it can be undone
    again. Raises StateError where something can't be undone.
    """
    rows = entry.journal.entries()
    doing = Journal(f"{entry.directory}/journal.undo")
    after = Journal(f"{entry.directory}/journal.new")
    for path in (doing.path, after.path, f"{entry.directory}/{START_FIFO}"):
        _unlink(path)
    for row in rows:
        data = {key: value for key, value in row.items() if key != "kind"}
        (after if row["kind"] == IDS else doing).record(str(row["kind"]), **data)
    report = undo(doing, same_boot=entry.same_boot(), within=entry.store.within, rmtree=remove)
    if report.problems:
        raise StateError(
            f"what container {entry.id} made before is not wholly undone: "
            + "; ".join(report.problems),
            hint="`isolate delete --force` it",
        )
    _unlink(doing.path)
    if os.path.exists(after.path):
        os.rename(after.path, entry.journal.path)
    else:
        _unlink(entry.journal.path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return

"""Garbage collection: what containers with a dead owner have left behind is undone and removed."""

from __future__ import annotations

import os

from isolate.errors import StateError
from isolate.state.idrange import sweep
from isolate.state.report import Report
from isolate.state.root import RANGES, TRASH
from isolate.state.tree import remove_tree
from isolate.state.undo import undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.state.entry import Entry
    from isolate.state.store import Store

    Rmtree = Callable[[str], None]


def collect(
    store: Store, *, within: Sequence[str] | None = None, rmtree: Rmtree | None = None
) -> Report:
    """Undo and remove every container whose owner is dead; also half-made ones.

    A frozen one is killed too. What fails is reported and kept for the next time. Safe beside
    other collections and beside creations. `within` and `rmtree` are those of `undo`,
    and the store's own where they aren't given.
    """
    report = Report()
    for entry in store.list():
        try:
            if _own_leftover(entry):
                report.add(collect_entry(entry, within=within, rmtree=rmtree))
        except StateError as error:
            report.failures.append(f"{entry.id}: {error}")
    _empty_trash(store, rmtree or store.rmtree or remove_tree, report)
    _free_ranges(store, report)
    return report


def _own_leftover(entry: Entry) -> bool:
    """Own a container whose owner is dead, unless it is one that outlives its owner."""
    if entry.kept() or not entry.try_lock():
        return False
    if entry.kept():  # its owner recorded that, and died, after the first look
        entry.release()
        return False
    return True


def collect_entry(
    entry: Entry, *, within: Sequence[str] | None = None, rmtree: Rmtree | None = None
) -> Report:
    """Undo and remove one container that the caller owns; it owns it no more afterwards.

    Where something can't be undone the container stays, so that its journal isn't lost.
    """
    found = Report()
    within = entry.store.within if within is None else within
    rmtree = rmtree or entry.store.rmtree
    try:
        done = undo(entry.journal, same_boot=entry.same_boot(), within=within, rmtree=rmtree)
        found.refused = [f"{entry.id}: {line}" for line in done.refused]
        found.failures = [f"{entry.id}: {line}" for line in done.failures]
        if not found.failures:
            entry.remove(rmtree)
            found.collected.append(entry.id)
    except StateError as error:
        found.failures.append(f"{entry.id}: {error}")
    finally:
        entry.release()
    return found


def _empty_trash(store: Store, rmtree: Rmtree, report: Report) -> None:
    trash = f"{store.root}/{TRASH}"
    for name in _names(trash):
        try:
            rmtree(f"{trash}/{name}")
        except OSError as error:
            report.failures.append(f"trash: {error}")


def _free_ranges(store: Store, report: Report) -> None:
    if not _names(f"{store.root}/{RANGES}"):
        return
    try:
        sweep(store)
    except StateError as error:
        report.failures.append(f"idrange: {error}")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []

"""User id ranges for containers that root makes: 65536 ids each, used by nobody else.

The ranges lie in 1073741824 to 1879048191 (0x40000000 to 0x6FFFFFFF). All of it is inside what
systemd sets aside for container managers (524288 to 1879048191, UIDS-GIDS.md), so no user, no
dynamic service and no foreign file system image has ids there; it is above SUB_UID_MAX (600100000,
login.defs(5)), so useradd(8) never hands out subordinate ids there; and each begins at a
multiple of 65536, as that document asks. subuid(5) entries that lie there all the same are kept
clear of. Two state directories don't know of each other: the random choice among 12288 ranges
keeps their containers apart.
"""

from __future__ import annotations

import os

from isolate.errors import StateError
from isolate.state.failures import state_error
from isolate.state.root import CONTAINERS, RANGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from isolate.state.entry import Entry
    from isolate.state.store import Store

FIRST = 0x40000000
LAST = 0x6FFFFFFF
SIZE = 0x10000
SLOTS = (LAST + 1 - FIRST) // SIZE

KIND = "idrange"  # of the journal's rows

_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


def claimed(entry: Entry) -> int | None:
    """The first of the ids that the container has claimed already."""
    for row in reversed(entry.journal.entries()):
        if row["kind"] == KIND:
            return int(row["first"])
    return None


def claim(entry: Entry, subordinate: Sequence[str] = _SUBORDINATE) -> int:
    """The first of 65536 user and group ids that are the container's until `release`.

    The claim is entered in the container's journal. Raises StateError.
    """
    store = entry.store
    taken = _granted(subordinate)
    start = int.from_bytes(os.urandom(4), "little") % SLOTS
    with store.locked():
        for offset in range(SLOTS):
            slot = (start + offset) % SLOTS
            if slot not in taken and _take(entry, slot):
                return FIRST + slot * SIZE
    raise StateError("no user id range is free", hint="`isolate gc` releases those of dead ones")


def release(store: Store, name: str, first: int) -> None:
    """Give the range back; nothing happens where it isn't that container's. Raises StateError."""
    slot, rest = divmod(first - FIRST, SIZE)
    if rest or not 0 <= slot < SLOTS:
        return
    with store.locked():
        if _holder(_path(store, slot)) == name:
            _unlink(_path(store, slot))


def sweep(store: Store) -> None:
    """Release the ranges of containers that are gone. Raises StateError."""
    directory = f"{store.root}/{RANGES}"
    with store.locked():
        for slot in os.listdir(directory):
            _free_if_stale(store, f"{directory}/{slot}")


def _take(entry: Entry, slot: int) -> bool:
    path = _path(entry.store, slot)
    if os.path.lexists(path) and not _free_if_stale(entry.store, path):
        return False
    entry.journal.record(KIND, first=FIRST + slot * SIZE)
    try:
        # A link and not a file: its name and its content appear in one step, and only once.
        os.symlink(entry.id, path)
    except OSError as error:
        raise state_error(f"can't claim the user id range {path}", error) from None
    return True


def _free_if_stale(store: Store, path: str) -> bool:
    holder = _holder(path)
    if holder is not None and os.path.lexists(f"{store.root}/{CONTAINERS}/{holder}"):
        return False
    _unlink(path)
    return True


def _holder(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(path)) or None
    except OSError:
        return None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise state_error(f"can't release the user id range {path}", error) from None


def _path(store: Store, slot: int) -> str:
    return f"{store.root}/{RANGES}/{slot:05}"


def _granted(files: Iterable[str]) -> set[int]:
    """The slots that overlap what subuid(5) and subgid(5) grant to users."""
    slots: set[int] = set()
    for file in files:
        for first, count in _rows(file):
            low = max(first, FIRST)
            high = min(first + count - 1, LAST)
            slots.update(range((low - FIRST) // SIZE, (high - FIRST) // SIZE + 1))
    return slots


def _rows(file: str) -> Iterable[tuple[int, int]]:
    try:
        with open(file, "rb") as lines:
            rows = [line.strip().split(b":") for line in lines]
    except OSError:
        return []
    return [
        (int(row[1]), int(row[2]))
        for row in rows
        if len(row) == 3 and row[1].isdigit() and row[2].isdigit()
    ]

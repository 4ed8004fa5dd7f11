"""What is recorded of containers, with their status as it is now."""

from __future__ import annotations

from isolate.backend.types import Handle
from isolate.errors import IsolateError, StateError
from isolate.plugins import load
from isolate.runtime import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.backend.base import Backend
    from isolate.state import Entry, Store


def containers(store: Store) -> list[dict[str, Any]]:
    """Every container of a state directory; a damaged record is a row that says so."""
    rows = []
    loaded: dict[str, Backend] = {}
    for entry in store.list():
        try:
            rows.append(describe(entry, loaded))
        except StateError as error:
            rows.append({"id": entry.id, "status": "damaged", "problem": error.message})
    return rows


def describe(entry: Entry, loaded: dict[str, Backend] | None = None) -> dict[str, Any]:
    """One container: its record, `exit` where it is detached and has ended, and `status`.

    That is creating, created, running, paused, stopped, restarting, or stale when the process that
    ran it is gone (`isolate gc` removes it). `loaded` keeps the backends for the next container.
    """
    record = entry.read_record()
    record["exit"] = exits.read(entry.directory) if record.get("detached") else None
    record["status"] = _status(entry, record, {} if loaded is None else loaded)
    return record


def _status(entry: Entry, record: dict[str, Any], loaded: dict[str, Backend]) -> str:
    if record["exit"] is not None:
        return "stopped"
    if not entry.owner_alive() and not entry.kept():
        return "stale"
    if record.get("status") == "restarting":
        return "restarting"
    if record.get("handle") is None:
        return str(record.get("status", "creating"))
    try:
        name = str(record.get("backend"))
        if name not in loaded:
            loaded[name] = backend_of(record)
        return loaded[name].status(handle_of(record))
    except IsolateError:
        return "unknown"


def backend_of(record: dict[str, Any]) -> Backend:
    """The backend that made a container."""
    return load(str(record.get("backend")))


def handle_of(record: dict[str, Any]) -> Handle:
    """The handle that a backend gave for a container."""
    if record.get("handle") is None:
        raise StateError(f"container {record.get('id')} is still being created")
    return Handle.build(dict(record["handle"]), "handle")

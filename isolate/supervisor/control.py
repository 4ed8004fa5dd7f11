"""Acting on containers from outside: start, stop, wait, delete; detached ones by the supervisor."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from isolate.errors import StateError, UnsupportedError
from isolate.linux import process
from isolate.linux.signals import SIGKILL, SIGTERM
from isolate.runtime import abilities, control, exits
from isolate.runtime.inspect import backend_of, describe, handle_of
from isolate.supervisor import client

if TYPE_CHECKING:
    from isolate.spec.model import Limits
    from isolate.state import Entry, Store

_PAUSE = 0.02
_RUNS = ("created", "running", "paused", "restarting")


def start(entry: Entry) -> None:
    """Execute the program of a created or stopped container. Raises IsolateError."""
    if not entry.kept():
        raise UnsupportedError(
            f"container {entry.id} is run in the foreground",
            hint="`isolate create` and `isolate run --detach` make containers that can be started",
        )
    client.request(entry.store, "start", id=entry.id)


def stop(entry: Entry, patience: float) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds; returns when the container has ended."""
    if entry.kept():
        client.request(entry.store, "stop", id=entry.id, time=patience)
        return
    if describe(entry)["status"] not in _RUNS:
        return
    control.kill(entry, SIGTERM, everyone=False)
    if not _ended(entry, patience):
        control.kill(entry, SIGKILL, everyone=True)
        _ended(entry, 10.0)


def _ended(entry: Entry, patience: float) -> bool:
    """Whether a container that is run in the foreground has ended within so many seconds."""
    deadline = time.monotonic() + patience
    while entry.exists() and describe(entry)["status"] in _RUNS:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def delete(entry: Entry, *, force: bool) -> None:
    """Delete a container with all that it left; a running one only with `force`."""
    if entry.kept():
        client.request(entry.store, "delete", id=entry.id, force=force)
    else:
        control.delete(entry, force=force)


def update(entry: Entry, limits: Limits) -> None:
    """Change limits of a running container; a detached one's record keeps them for its restarts."""
    backend, handle = abilities.running(entry, "created", "running", "paused")
    if entry.kept():
        client.request(entry.store, "update", id=entry.id, limits=limits.to_dict())
    else:
        abilities.update(backend, handle, limits)


def delete_stopped(store: Store) -> list[str]:
    """Delete the detached containers that have ended; their ids."""
    ended = [entry for entry in store.list() if exits.read(entry.directory) is not None]
    for entry in ended:
        delete(entry, force=False)
    return [entry.id for entry in ended]


def wait(entry: Entry) -> int | None:
    """The exit code as a shell gives it, once the container has ended; None if nobody knows it.

    A container with a restart policy has ended when it isn't run again. Raises StateError when
    the container is deleted meanwhile.
    """
    if not entry.kept():
        return _wait_foreground(entry)
    while True:
        result = exits.read(entry.directory)
        if result is not None:
            return exits.shell_code(result)
        if not entry.exists():
            raise StateError(f"container {entry.id} was deleted")
        client.ensure(entry.store)
        _pause(entry)


def _pause(entry: Entry) -> None:
    """Until the process ends, or for a moment where there is none; not for long: a supervisor
    that is killed must be missed."""
    record = entry.read_record() if entry.exists() else {}
    pidfd = _pidfd(record)
    if pidfd < 0:
        time.sleep(_PAUSE)
        return
    try:
        if process.wait_pidfd(pidfd, 0.5):
            time.sleep(_PAUSE)
    finally:
        os.close(pidfd)


def _pidfd(record: dict[str, Any]) -> int:
    if record.get("handle") is None:
        return -1
    handle = handle_of(record)
    if handle.pid is None or handle.start_time is None:
        return -1
    try:
        return process.open_pidfd(handle.pid, handle.start_time)
    except ProcessLookupError:
        return -1


def _wait_foreground(entry: Entry) -> int | None:
    record = entry.read_record()
    try:
        status = backend_of(record).wait(handle_of(record))
    except StateError:
        return None
    return None if status is None else status.shell_code

"""Acting on a container that another process runs: kill and delete."""

from __future__ import annotations

import time

from isolate.errors import SpecError, StateError
from isolate.linux.signals import SIGKILL
from isolate.runtime.collect import collect_entry
from isolate.runtime.inspect import backend_of, describe, handle_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.state import Entry

_PATIENCE = 10.0  # seconds in which the process that runs a killed container must clean up


def signal_number(text: str) -> int:
    """The number of a signal by its name (TERM, SIGTERM) or number. Raises SpecError."""
    import signal

    if text.isascii() and text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise SpecError(
            "--signal", f"{text!r} is no signal", hint="a name as in TERM, or a number from 1 to 64"
        ) from None


def kill(entry: Entry, number: int, *, everyone: bool) -> None:
    """Send a signal to a running container. Raises StateError where it doesn't run."""
    record = entry.read_record()
    handle = handle_of(record)
    backend = backend_of(record)
    status = describe(entry)["status"]
    if status not in ("created", "running", "paused"):
        raise StateError(f"container {entry.id} is {status}", hint="`isolate ps` lists what runs")
    backend.kill(handle, number, everyone=everyone)


def delete(entry: Entry, *, force: bool) -> None:
    """Delete a container. One that runs is killed first with `force`, else refused.

    The process that runs it in the foreground cleans up when it ends; where there is none, we do.
    """
    status = describe(entry)["status"]
    if status in ("created", "running", "paused"):
        if not force:
            raise StateError(f"container {entry.id} is {status}", hint="kill it first, or --force")
        kill(entry, SIGKILL, everyone=True)
    deadline = time.monotonic() + _PATIENCE
    while entry.exists() and entry.owner_alive():
        if time.monotonic() > deadline:
            raise StateError(f"container {entry.id} is still in use by the process that runs it")
        time.sleep(0.01)
    if entry.exists() and entry.try_lock():
        report = collect_entry(entry)
        if report.problems:
            raise StateError("; ".join(report.problems), hint="remove the cause and try again")

"""Acting on a running container by what its backend is able to do; what it can't is refused."""

from __future__ import annotations

from isolate.backend.abilities import Executes, Measures, OpensRoot, Pauses, Updates
from isolate.errors import StateError, UnsupportedError
from isolate.runtime.inspect import backend_of, describe, handle_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.abilities import Stats
    from isolate.backend.base import Backend
    from isolate.backend.types import Handle
    from isolate.spec.model import Limits
    from isolate.state import Entry

_VERBS: dict[type, str] = {
    Executes: "run further programs in a container",
    Pauses: "pause a container",
    Updates: "change the limits of a running container",
    Measures: "say what a container uses",
    OpensRoot: "let the host look into a container's root",
}


def refusal(backend: Backend, ability: type) -> UnsupportedError:
    """The one clear error for what a backend can't do."""
    return UnsupportedError(
        f"backend {backend.name} can't {_VERBS[ability]}",
        hint="`isolate backends` lists the others",
    )


def running(entry: Entry, *allowed: str) -> tuple[Backend, Handle]:
    """The backend and handle of a container that runs. Raises StateError."""
    record = describe(entry)
    if record["status"] not in (allowed or ("running",)):
        raise StateError(
            f"container {entry.id} is {record['status']}", hint="`isolate ps` lists what runs"
        )
    return backend_of(record), handle_of(record)


def pause(entry: Entry) -> None:
    """Stop every process of a running container."""
    backend, handle = running(entry)
    if not isinstance(backend, Pauses):
        raise refusal(backend, Pauses)
    backend.pause(handle)


def resume(entry: Entry) -> None:
    """Let a paused container go on."""
    backend, handle = running(entry, "paused")
    if not isinstance(backend, Pauses):
        raise refusal(backend, Pauses)
    backend.resume(handle)


def update(backend: Backend, handle: Handle, limits: Limits) -> None:
    """Change limits of a running container."""
    if not isinstance(backend, Updates):
        raise refusal(backend, Updates)
    backend.update(handle, limits)


def stats(backend: Backend, handle: Handle) -> Stats:
    """What a container uses at this moment."""
    if not isinstance(backend, Measures):
        raise refusal(backend, Measures)
    return backend.stats(handle)


def processes(backend: Backend, handle: Handle) -> list[int]:
    """The container's processes, by the host's ids."""
    if not isinstance(backend, Measures):
        raise refusal(backend, Measures)
    return backend.processes(handle)

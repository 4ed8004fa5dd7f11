"""The way to the supervisor: starts it where none runs, asks it, raises what it answers."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from isolate.errors import HostError, StateError
from isolate.state import lock
from isolate.state import root as state_root
from isolate.supervisor import protocol

if TYPE_CHECKING:
    from isolate.state import Store

_PATIENCE = 15.0  # seconds in which a started supervisor must answer
_PAUSE = 0.01
_REPEATABLE = frozenset({"ping", "start", "stop", "delete", "update", "console"})


def request(store: Store, action: str, **arguments: Any) -> dict[str, Any]:
    """What the supervisor answers; starts one if there is none. Raises IsolateError."""
    reply, descriptors = request_with_descriptors(store, action, **arguments)
    for descriptor in descriptors:
        os.close(descriptor)
    return reply


def request_with_descriptors(
    store: Store, action: str, **arguments: Any
) -> tuple[dict[str, Any], list[int]]:
    """The same, for answers that bring descriptors."""
    while True:
        with _connected(store) as peer:
            try:
                protocol.send(peer, {"action": action, **arguments})
                reply, descriptors = protocol.receive(peer)
            except protocol.Gone:
                if action in _REPEATABLE:
                    continue
                raise StateError(
                    f"the supervisor was killed during `{action}`",
                    hint="`isolate ps` says what became of the container",
                ) from None
        protocol.raise_error(reply)
        return reply, descriptors


def ensure(store: Store) -> None:
    """See to it that a supervisor runs, if any detached container may need one."""
    if needed(store) and not is_running(store):
        request(store, "ping")


def needed(store: Store) -> bool:
    """Whether there is a detached container that isn't at its end."""
    from isolate.runtime import exits

    return any(exits.read(entry.directory) is None and entry.kept() for entry in store.list())


def is_running(store: Store) -> bool:
    """Whether a process holds the supervisor's lock."""
    try:
        descriptor = os.open(f"{store.root}/{protocol.LOCK}", os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return lock.is_held(descriptor)
    finally:
        os.close(descriptor)


def _connected(store: Store) -> socket.socket:
    """A connection that the supervisor has accepted. Raises HostError."""
    state_root.prepare(store.root)
    deadline = time.monotonic() + _PATIENCE
    started = 0.0
    while time.monotonic() < deadline:
        peer = _try_connect(store.root)
        if peer is not None:
            return peer
        if time.monotonic() - started > 1.0 and not is_running(store):
            _start(store.root)
            started = time.monotonic()
        time.sleep(_PAUSE)
    raise HostError(
        "the supervisor doesn't answer", hint=f"{store.root}/{protocol.LOG} may say why"
    )


def _try_connect(root: str) -> socket.socket | None:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    path, directory = protocol.address(root)
    try:
        peer.connect(path)
        if protocol.peer_uid(peer) != os.geteuid():
            raise StateError(f"a stranger listens in {root}", hint="remove that directory")
        protocol.receive(peer)  # "ready": from here on it serves us before it may end
    except (OSError, protocol.Gone, ValueError):
        peer.close()
        return None
    finally:
        os.close(directory)
    return peer


def _start(root: str) -> None:
    """Start a supervisor; it puts itself in the background. A second one ends by itself."""
    argv = [sys.executable, "-P", "-m", "isolate.supervisor", root]
    null = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1)]
    # It must find the very same modules, wherever this program found them.
    path = os.pathsep.join(entry for entry in sys.path if os.path.isabs(entry))
    environment = {**os.environ, "PYTHONPATH": path}
    pid = os.posix_spawn(sys.executable, argv, environment, file_actions=null)
    os.waitpid(pid, 0)

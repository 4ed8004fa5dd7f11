"""The worker: serves requests, supervises every detached container, ends when nothing is left."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from isolate.errors import ExistsError, IsolateError, NotFoundError, StateError
from isolate.linux import prctl, signals
from isolate.linux.title import set_title
from isolate.plugins import load
from isolate.runtime.lifecycle import Container
from isolate.runtime.stores import open_store
from isolate.spec.model import Limits, Spec
from isolate.supervisor import protocol
from isolate.supervisor.loop import Loop
from isolate.supervisor.supervised import Supervised

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from isolate.state import Entry

_LINGER = 0.4  # seconds without anything to do, after which it ends
_LOCK_ATTEMPTS = 50


def main(root: str, listener: socket.socket, told: socket.socket, masters: dict[str, int]) -> None:
    """Work until nothing is left to do, then end the process with status 0.

    `told` leads to the guardian; `masters` are the containers whose streams it has held, with the
    master of a terminal, or -1.
    """
    prctl.set_child_subreaper(True)
    set_title(f"isolate supervisor worker {root}")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    worker = Worker(root, listener, told)
    worker.adopt(masters)
    worker.run()


class Request:
    """A client that waits for its reply."""

    def __init__(self, worker: Worker, peer: socket.socket) -> None:
        self._worker = worker
        self._peer = peer

    def reply(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Answer, once."""
        with contextlib.suppress(protocol.Gone, OSError):  # it may not have waited
            protocol.send(self._peer, message, descriptors)
        self._worker.hang_up(self._peer)


class Worker:
    """The supervisor's event loop and its containers."""

    def __init__(self, root: str, listener: socket.socket, told: socket.socket) -> None:
        self.root = root
        self._guardian = os.getppid()
        self._socket = _identity(f"{root}/{protocol.SOCKET}")
        self.loop = Loop()
        self._store = open_store(root)
        self._listener = listener
        self._told = told
        self._peers: set[socket.socket] = set()
        self._containers: dict[str, Supervised] = {}
        self._idle_since: float | None = None

    def run(self) -> NoReturn:
        """Serve."""
        caught = signals.set_of(signals.SIGCHLD, signals.SIGTERM)
        signals.block(caught)
        descriptor = signals.signalfd(caught)
        self.loop.watch(descriptor, lambda: self._on_signals(descriptor))
        self.loop.watch(self._listener.fileno(), self._accept)
        self._tick()
        self._reap()  # what ended before the signals were blocked
        while True:
            self.loop.turn()

    def _on_signals(self, descriptor: int) -> None:
        if signals.SIGTERM in signals.read_signals(descriptor):
            self._end()
        self._reap()

    def _tick(self) -> None:
        """End when there has been nothing to do for a while."""
        if self._peers or any(one.busy for one in self._containers.values()):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since >= _LINGER:
            self._end()
        self.loop.after(_LINGER / 2, self._tick)

    def _end(self) -> NoReturn:
        """End for good, and the guardian with us; the containers that run go on."""
        path = f"{self.root}/{protocol.SOCKET}"
        with contextlib.suppress(OSError):
            # Where the state directory was replaced, the socket is another supervisor's.
            if _identity(path) == self._socket:
                os.unlink(path)
        os._exit(0)

    # -- children

    def _reap(self) -> None:
        """Let containers see their end before it is reaped; reap whatever else was left to us."""
        owners = {one.pid: one for one in self._containers.values() if one.busy}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            owner = owners.pop(found.si_pid, None)
            if owner is not None:
                owner.ended()
            try:
                os.waitpid(found.si_pid, os.WNOHANG)
            except ChildProcessError:
                continue

    # -- the guardian

    def hold(self, container: Supervised, master: int) -> None:
        """Let the guardian know a container's process and streams."""
        handle = container.container.running_handle
        if handle.pid is None:
            return
        message = {"pid": handle.pid, "start_time": handle.start_time}
        self._tell("hold", container, message, (master,) if master >= 0 else ())

    def release(self, container: Supervised) -> None:
        """Let the guardian forget them."""
        self._tell("release", container, {}, ())

    def _tell(
        self,
        action: str,
        container: Supervised,
        details: dict[str, Any],
        descriptors: tuple[int, ...],
    ) -> None:
        try:
            message = {"action": action, "id": container.container.id, **details}
            protocol.send(self._told, message, descriptors)
        except (protocol.Gone, OSError):
            return  # the guardian was killed: we go on without

    # -- containers that are there already

    def adopt(self, masters: dict[str, int]) -> None:
        """Go on with every detached container of the state directory."""
        for entry in self._store.list():
            try:
                if entry.kept() and _own(entry):
                    self._adopt(entry, masters.get(entry.id, -1), held=entry.id in masters)
            except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the supervisor
                sys.stderr.write(f"{entry.id}: {type(error).__name__}: {error}\n")
                sys.stderr.flush()

    def _adopt(self, entry: Entry, master: int, *, held: bool) -> None:
        record = entry.read_record()
        container = Container.adopt(load(str(record["backend"])), entry, record)
        supervised = Supervised(self, container)
        self._containers[entry.id] = supervised
        own = os.dup(master) if master >= 0 else -1
        supervised.adopt(str(record["status"]), own, held=held)

    # -- requests

    def _accept(self) -> None:
        try:
            peer, _address = self._listener.accept()
        except OSError:
            return
        if not protocol.is_own(peer):
            peer.close()
            return
        self._idle_since = None
        self._peers.add(peer)
        self.loop.watch(peer.fileno(), lambda: self._serve(peer))
        try:
            protocol.send(peer, {"ready": os.getpid()})
        except (protocol.Gone, OSError):
            self.hang_up(peer)

    def hang_up(self, peer: socket.socket) -> None:
        """Close a connection."""
        if peer in self._peers:
            self._peers.remove(peer)
            self.loop.forget(peer.fileno())
            peer.close()

    def _serve(self, peer: socket.socket) -> None:
        try:
            message, descriptors = protocol.receive(peer)
        except (protocol.Gone, ValueError, OSError):
            self.hang_up(peer)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        request = Request(self, peer)
        actions: dict[str, Callable[[Request, dict[str, Any]], None]] = {
            "ping": self._ping,
            "create": self._create,
            "start": self._start,
            "stop": self._stop,
            "delete": self._delete,
            "update": self._update,
            "console": self._console,
        }
        action = actions.get(str(message.get("action")))
        try:
            (action or _unknown)(request, message)
        except IsolateError as error:
            request.reply(protocol.error_message(error))
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the supervisor
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
            failure = IsolateError(
                f"the supervisor failed: {type(error).__name__}: {error}",
                hint=f"{self.root}/{protocol.LOG} has the traceback",
            )
            request.reply(protocol.error_message(failure))

    def _ping(self, request: Request, _message: dict[str, Any]) -> None:
        there = os.getppid() == self._guardian
        request.reply({"pid": os.getpid(), "guardian": self._guardian if there else None})

    def _create(self, request: Request, message: dict[str, Any]) -> None:
        backend = load(str(message["backend"]))
        spec = Spec.build(message["spec"], "spec")
        os.environ["ISOLATE_CACHE"] = str(message["cache"])
        name = message.get("id")
        if name in self._containers:
            raise ExistsError(f"a container {name} exists", hint="choose another name")
        if "process.rlimits" in backend.capabilities():
            spec = _with_descriptors(spec, message["nofile"])
        container = Container(backend, spec, self._store, id=name, attached=False)
        container.notes.update(
            {"restart": message["restart"], "log_size": message["log_size"], "restarts": 0}
        )
        supervised = Supervised(self, container)
        supervised.create()
        self._containers[container.id] = supervised
        if message.get("start"):
            try:
                supervised.start()
            except BaseException:
                del self._containers[container.id]
                supervised.delete(force=True)
                raise
        request.reply({"id": container.id})

    def _of(self, message: dict[str, Any]) -> Supervised:
        name = str(message.get("id"))
        if name not in self._containers:
            entry = self._store.entry(name)
            if not (entry.kept() and _own(entry)):
                raise NotFoundError(f"container {name} is not one of the supervisor's")
            self._adopt(entry, -1, held=False)
        return self._containers[name]

    def _start(self, request: Request, message: dict[str, Any]) -> None:
        self._of(message).start()
        request.reply({})

    def _stop(self, request: Request, message: dict[str, Any]) -> None:
        container = self._of(message)
        if not container.busy:
            request.reply({})
            return
        container.stop(float(message["time"]), lambda: request.reply({}))

    def _delete(self, request: Request, message: dict[str, Any]) -> None:
        name = str(message.get("id"))
        container = self._of(message)
        container.delete(force=bool(message.get("force")))
        self._containers.pop(name, None)
        request.reply({})

    def _update(self, request: Request, message: dict[str, Any]) -> None:
        from isolate.runtime.abilities import update

        container = self._of(message).container
        update(container.backend, container.running_handle, Limits.build(message["limits"], ""))
        container.spec = container.spec.replace(
            limits=container.spec.limits.replace(**message["limits"])
        )
        container.record("running")
        request.reply({})

    def _console(self, request: Request, message: dict[str, Any]) -> None:
        request.reply({}, (self._of(message).console(),))


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return -1, -1
    return found.st_dev, found.st_ino


def _unknown(_request: Request, _message: dict[str, Any]) -> None:
    raise StateError("the supervisor doesn't know that request")


def _with_descriptors(spec: Spec, limit: dict[str, int] | None) -> Spec:
    """The client's own limit on descriptors, and not this process's, which is high."""
    if limit is None or "nofile" in spec.process.rlimits:
        return spec
    document = spec.to_dict()
    document.setdefault("process", {}).setdefault("rlimits", {})["nofile"] = limit
    return Spec.build(document, "spec")


def _own(entry: Entry) -> bool:
    """Own an entry that nobody holds for longer than a look at it takes."""
    for _ in range(_LOCK_ATTEMPTS):
        if entry.try_lock():
            entry.take_over()
            return True
        if not entry.exists():
            return False
        time.sleep(0.002)
    return False

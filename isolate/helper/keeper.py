"""A keeper: holds one sandbox for a program, and acts on it, until the program lets go of it.

It answers once when the sandbox stands, and once more when nothing is left of it. Between the two
it takes requests on the same socket, each with a reply socket of its own, and forks for each: so
one that waits for a slow file or a long program holds up no other.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any, NoReturn

from isolate.backend.abilities import Executes, OpensRoot, Serves
from isolate.errors import ExecError, SpecError
from isolate.helper import protocol
from isolate.helper.answering import answer_and_end
from isolate.linux import prctl, process, signals
from isolate.runtime import abilities
from isolate.runtime.executing import execute
from isolate.runtime.files import Root
from isolate.runtime.lifecycle import Container
from isolate.spec.model import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.backend.base import Backend
    from isolate.spec.model import Spec
    from isolate.state import Store

_CAUGHT = signals.set_of(signals.SIGCHLD, *signals.ENDING)

# What runs where the first process takes no orders: it does nothing for 68 years.
_WAITING = ("sleep", "2147483647")


class Keeper:
    """One sandbox, from its creation to its deletion.

    Raises UnsupportedError where the backend can't run further programs in a container.
    """

    def __init__(
        self, backend: Backend, spec: Spec, store: Store, id: str, control: socket.socket
    ) -> None:
        self._backend = backend
        self._store = store
        self._control = control
        if not isinstance(backend, Executes):
            raise abilities.refusal(backend, Executes)
        self._serves = isinstance(backend, Serves) and backend.serves(spec)
        self._spec = spec
        self._container = Container(backend, self._first_program(spec), store, id=id)
        self._root: Root | None = None
        self._children: set[int] = set()
        self._deadline: float | None = None

    def _first_program(self, spec: Spec) -> Spec:
        if spec.process.terminal:
            raise SpecError("process.terminal", "a sandbox's programs have no terminal")
        if self._serves:
            return spec.replace(process=spec.process.replace(args=()))
        init = "process.init" in self._backend.capabilities()
        return spec.replace(process=spec.process.replace(args=_WAITING, init=init))

    def keep(self, owner: int, requests: int) -> dict[str, Any]:
        """Make the sandbox, and keep it until the program that owns it lets go or ends, or the
        sandbox itself ends; why, where it wasn't the program's doing.

        `owner` is a pidfd of that program: a child that it forked may hold its sockets on.
        `requests` is what the first process takes orders from, where it does; it is closed here, so
        that its other end tells when nobody takes orders any more.
        """
        signals.block(_CAUGHT)
        arrivals = signals.signalfd(_CAUGHT)
        try:
            self._make(requests)
            os.close(requests)
            self._say_that_it_stands()
            return {"why": self._serve(owner, arrivals)}
        finally:
            if self._root is not None:
                self._root.close()
            self._end_children()
            self._container.delete()

    def _make(self, requests: int) -> None:
        container = self._container
        container.admit()
        if self._serves:
            container.requests = requests
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            container.create((null, null, null))
            if isinstance(self._backend, OpensRoot):  # now: a served one hides itself as it starts
                self._root = Root(self._backend, container.running_handle)
            container.start()
        except ExecError as error:
            error.hint = (
                f"a sandbox of backend {self._backend.name} keeps it running: it must be there"
            )
            raise
        finally:
            os.close(null)
        if self._spec.limits.timeout is not None:
            self._deadline = time.monotonic() + self._spec.limits.timeout

    def _say_that_it_stands(self) -> None:
        container = self._container
        standing = {
            "serves": self._serves,
            "waived": sorted(container.waived),
            "receipt": [
                {name: getattr(row, name) for name in row.FIELDS} for row in container.receipt
            ],
        }
        protocol.send(self._control, {"result": standing})

    def _serve(self, owner: int, arrivals: int) -> str | None:
        first = self._open_first_process()
        poll = _poll(owner, first, arrivals, self._control.fileno())
        while True:
            ready = {descriptor for descriptor, _events in poll.poll(self._patience())}
            if not ready:
                return "its time was up"
            if owner in ready:
                return None
            if first in ready:
                return self._why_it_ended()
            if arrivals in ready:
                if set(signals.read_signals(arrivals)) & set(signals.ENDING):
                    return "its keeper was told to end"
                self._reap()
            elif self._control.fileno() in ready:
                message = protocol.receive(self._control)
                if message is None:
                    return None
                self._fork(*message)

    def _open_first_process(self) -> int:
        """A descriptor that tells when the sandbox ends by itself; -1 where it has no process."""
        handle = self._container.running_handle
        if handle.pid is None or handle.start_time is None:
            return -1
        return process.open_pidfd(handle.pid, handle.start_time)

    def _why_it_ended(self) -> str:
        if self._backend.usage(self._container.running_handle).oom_killed:
            return "its memory limit was reached, and the kernel killed its first process"
        return "its first process was killed"

    def _patience(self) -> float | None:
        """Milliseconds that the sandbox may still live."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic()) * 1000

    def _fork(self, document: dict[str, Any], descriptors: list[int]) -> None:
        child = os.fork()
        if child == 0:
            prctl.set_pdeathsig(signals.SIGKILL)
            signals.set_mask(bytes(len(_CAUGHT)))
            self._act(document, descriptors)
        self._children.add(child)
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        """Those that were forked here, and no other: how the first process ended must be kept."""
        for child in [*self._children]:
            if os.waitpid(child, os.WNOHANG)[0]:
                self._children.discard(child)

    def _end_children(self) -> None:
        for child in self._children:
            os.kill(child, signals.SIGKILL)
            os.waitpid(child, 0)

    def _act(self, document: dict[str, Any], descriptors: list[int]) -> NoReturn:
        """In the forked child: do what a request says, answer, and end."""
        reply = socket.socket(fileno=descriptors.pop(0))
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "exec": self._exec,
            "write": self._write,
            "read": self._read,
            "listdir": self._listdir,
            "stats": self._stats,
            "usage": self._usage,
        }

        def action() -> dict[str, Any]:
            return actions[document.pop("do")](*descriptors, reply=reply.fileno(), **document)

        answer_and_end(reply, action, descriptors)

    def _exec(
        self,
        stdin: int,
        stdout: int,
        stderr: int,
        *,
        reply: int,
        args: list[str],
        env: dict[str, str],
        cwd: str | None,
    ) -> dict[str, Any]:
        asked = self._spec.process
        program = Process.build(
            {**asked.to_dict(), "args": args, "env": {**asked.env, **env}, "cwd": cwd or asked.cwd},
            "process",
        )
        entry = self._store.entry(self._container.id)
        status = execute(entry, program, (stdin, stdout, stderr), cancel_fd=reply)
        return {"exit_code": status.code, "signal": status.signal}

    def _files(self) -> Root:
        if self._root is None:
            raise abilities.refusal(self._backend, OpensRoot)
        self._root.become_owner()
        return self._root

    def _write(self, source: int, *, reply: int, path: str, mode: int) -> dict[str, Any]:
        self._files().write(path, source, mode)
        return {}

    def _read(self, sink: int, *, reply: int, path: str, limit: int) -> dict[str, Any]:
        self._files().read(path, sink, limit)
        return {}

    def _listdir(self, *, reply: int, path: str) -> dict[str, Any]:
        return {"names": self._files().names(path)}

    def _stats(self, *, reply: int) -> dict[str, Any]:
        return abilities.stats(self._backend, self._container.running_handle).to_dict()

    def _usage(self, *, reply: int) -> dict[str, Any]:
        return {"oom_killed": self._backend.usage(self._container.running_handle).oom_killed}


def _poll(*descriptors: int) -> select.poll:
    """Waits for each of them to be readable, but for what is -1."""
    made = select.poll()
    for descriptor in descriptors:
        if descriptor >= 0:
            made.register(descriptor, select.POLLIN)
    return made

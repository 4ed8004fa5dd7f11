"""`isolate.Sandbox`: one container, in which programs are run one after the other or at once."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from isolate.api.blueprint import Blueprint
from isolate.api.owned import Owned
from isolate.api.program import Program, checked
from isolate.api.result import Enforced
from isolate.api.run import DEFAULT_BACKEND
from isolate.api.streams import Streams
from isolate.backend.abilities import Stats
from isolate.errors import IsolateError, StateError
from isolate.helper import protocol
from isolate.helper.client import HELPER, WorkerKilledError, answer
from isolate.native import orders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from isolate.api.options import Execution, Options
    from isolate.api.program import Asked
    from isolate.api.result import Completed

LARGEST_FILE = 64 << 20  # bytes that `write` takes, and `read` unless told otherwise
_PATIENCE = 10.0  # seconds in which a sandbox that has ended is removed


class Sandbox(Owned):
    r"""A container that programs are run in, until it is closed; then all of it is gone.

    Use it as a context manager. It is safe from threads: each may run programs in it and move
    files at any time. It ends with this process, however that ends.

    Args:
        backend: the isolation technology; `isolate backends` lists them.
        timeout: seconds of the sandbox's whole life; then everything in it is killed.
        id: the container's id; none is a random one.
        root: the state directory.
        options: everything else that a spec says; see `isolate.api.options.Options`. A program
            that the spec names is not run; its environment, user and working directory are what
            each program starts with.

    Raises IsolateError where it can't be made, UnsupportedError where the backend can't run
    further programs in a container.

    >>> with Sandbox(memory="256M", pids=64) as box:
    ...     box.write("/tmp/job.sh", "echo $((6 * 7)) > /tmp/answer")
    ...     box.exec(["sh", "/tmp/job.sh"], timeout=10).check().exit_code
    ...     box.read("/tmp/answer")
    0
    b'42\n'
    """

    def __init__(
        self,
        *,
        backend: str = DEFAULT_BACKEND,
        timeout: float | None = None,
        id: str | None = None,
        root: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._make(Blueprint(options, backend=backend, timeout=timeout, id=id, root=root))

    @classmethod
    def of(cls, blueprint: Blueprint) -> Self:
        """A sandbox as the blueprint says. Raises IsolateError."""
        made = cls.__new__(cls)
        made._make(blueprint)
        return made

    def _make(self, blueprint: Blueprint) -> None:
        request = blueprint.request()
        self._id: str = request["id"]
        self._max_output = blueprint.max_output
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._why: str | None = None  # it has ended, once that is known
        self._orders, theirs = protocol.pair()
        owner = os.pidfd_open(self._owner)
        try:
            self._control = HELPER.request(request, (owner, theirs.fileno()))
        except BaseException:
            self._orders.close()
            raise
        finally:
            theirs.close()
            os.close(owner)
        try:
            standing = answer(self._control)
        except BaseException:
            self.abandon()
            raise
        self._serves: bool = standing["serves"]
        self._waived = tuple(standing["waived"])
        self._receipt = tuple(Enforced(**row) for row in standing["receipt"])
        self._closed = False

    def _called(self) -> str:
        return f"sandbox {self._id}"

    @property
    def id(self) -> str:
        """The container's id, as `isolate ps` lists it."""
        return self._id

    @property
    def waived(self) -> tuple[str, ...]:
        """Features that were missing, and allowed to be."""
        return self._waived

    @property
    def receipt(self) -> tuple[Enforced, ...]:
        """What was enforced, read back from the kernel before any program ran."""
        return self._receipt

    def exec(self, args: Sequence[str], **how: Unpack[Execution]) -> Completed:
        """Run a program in the sandbox and wait for its end.

        The program is found by PATH inside; `how` is described by `isolate.api.options.Execution`.
        What it leaves running lives on until the sandbox is closed. A program that fails is no
        error here: see `Completed.check`. Raises ExecError where it can't be executed, StateError
        where the sandbox has ended.
        """
        program = self.start(args, how)
        with program:
            return program.wait()

    def start(self, args: Sequence[str], how: Execution) -> Program:
        """Begin what `exec` does, without waiting."""
        asked = checked(args, how, max_output=self._max_output)
        streams = Streams(asked.stdin, capture=asked.capture)
        try:
            reply = self._order(asked, streams.given)
        except BaseException:
            streams.close()
            raise
        streams.close_given()
        return Program(streams, reply, asked, ended=self._ended, oom_killed=self._oom_killed)

    def _order(self, asked: Asked, stdio: Sequence[int]) -> socket.socket:
        """Have a program started; the socket on which its end is told."""
        if not self._serves:
            request = {"do": "exec", "args": asked.args, "env": asked.env, "cwd": asked.cwd}
            return self._send(request, stdio)

        def send(answers: int) -> None:
            order = orders.Order(asked.args, asked.env, asked.cwd, (answers, *stdio))
            orders.send_order(self._orders, order)

        return self._exchange(send)

    def _ended(self, reply: socket.socket, asked: Asked) -> tuple[int | None, int | None]:
        """Exit code and signal of a program, by the answer that is there."""
        if not self._serves:
            told = self._answer(reply)
            return told["exit_code"], told["signal"]
        said = orders.receive_answer(reply)
        if said is None:
            raise self._gone()
        return asked.ended(*said)

    def _oom_killed(self) -> bool | None:
        try:
            found: bool | None = self._ask({"do": "usage"})["oom_killed"]
        except IsolateError:
            return None  # how the program ended is known all the same
        return found

    def write(self, path: str, data: bytes | str, *, mode: int = 0o644) -> None:
        """Make a file, whole or not at all; its owner is the sandbox's root user.

        It takes the place of a file or a link of that name; its directory must exist. At most
        64 MiB; text is encoded as UTF-8. Raises StateError.
        """
        content = data.encode() if isinstance(data, str) else data
        if len(content) > LARGEST_FILE:
            raise StateError(
                f"{path} can't be written: {len(content)} bytes are more than {LARGEST_FILE}",
                hint="mount a volume instead",
            )
        memory = os.memfd_create("isolate-file", os.MFD_CLOEXEC)
        with open(memory, "w+b") as file:
            file.write(content)
            file.seek(0)
            self._ask({"do": "write", "path": path, "mode": mode}, (memory,))

    def read(self, path: str, *, limit: int = LARGEST_FILE) -> bytes:
        """A file as a whole. Raises StateError where there is none, where it has more than
        `limit` bytes, or where it is written meanwhile."""
        memory = os.memfd_create("isolate-file", os.MFD_CLOEXEC)
        with open(memory, "rb") as file:
            self._ask({"do": "read", "path": path, "limit": limit}, (memory,))
            file.seek(0)
            return file.read()

    def listdir(self, path: str = "/") -> list[str]:
        """The names in a directory, sorted. Raises StateError."""
        names: list[str] = self._ask({"do": "listdir", "path": path})["names"]
        return names

    def stats(self) -> Stats:
        """What the sandbox uses at this moment. Raises UnsupportedError where nobody knows."""
        return Stats.build(self._ask({"do": "stats"}), "stats")

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        with self._send(request, descriptors) as reply:
            return self._answer(reply)

    def _answer(self, reply: socket.socket) -> dict[str, Any]:
        try:
            return answer(reply)
        except WorkerKilledError:
            raise self._gone() from None

    def _send(self, request: dict[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Send the keeper a request; the socket of its reply."""
        return self._exchange(
            lambda reply: protocol.send(self._control, request, (reply, *descriptors))
        )

    def _exchange(self, send: Callable[[int], None]) -> socket.socket:
        """Our end of a pair of sockets, of which `send` passes on the other."""
        self._check_owner()
        ours, theirs = protocol.pair()
        try:
            with self._lock:
                self._check_open()
                send(theirs.fileno())
        except (BrokenPipeError, ConnectionResetError):
            ours.close()
            raise self._gone() from None
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _gone(self) -> IsolateError:
        """Why nobody takes or answers requests any more: the keeper's last words. Raises StateError
        where that is because it was closed."""
        with self._lock:
            self._check_open()
            if self._why is None:
                self._why = self._last_words()
        how = "doesn't answer" if self._why is None else "has ended"
        return StateError(f"sandbox {self._id} {how}", hint=self._why or "make a new one")

    def _last_words(self) -> str | None:
        self._control.settimeout(_PATIENCE)
        try:
            return answer(self._control)["why"] or "make a new one"
        except TimeoutError:
            return None
        except IsolateError as error:
            return error.hint or error.message
        finally:
            self._control.settimeout(None)

    @property
    def alive(self) -> bool:
        """Whether it takes programs."""
        if self._closed or not self._is_ours():
            return False
        import select

        poll = select.poll()
        poll.register(self._orders if self._serves else self._control, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Kill everything in the sandbox and wait until nothing is left of it; idempotent.

        Raises IsolateError where something is left.
        """
        if not self._is_ours():
            self.abandon()
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            if self._why is None:
                self._control.shutdown(socket.SHUT_WR)
                answer(self._control)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the sockets: the keeper then ends the sandbox, with nobody waiting."""
        self._closed = True
        self._control.close()
        self._orders.close()

"""`isolate.Pool`: sandboxes made ahead, each used once and thrown away."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from isolate.api.blueprint import Blueprint
from isolate.api.owned import Owned
from isolate.api.run import DEFAULT_BACKEND
from isolate.api.sandbox import Sandbox
from isolate.errors import IsolateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from isolate.api.options import Execution, Settings
    from isolate.api.program import Program
    from isolate.api.result import Completed
    from isolate.spec.model import Spec

_COURTESY = 0.003  # seconds in which a short program may end undisturbed, where others are ready
_PAUSE = 0.2  # seconds after one could not be made
_ATTEMPTS = 20  # in a row that fail; then the next who takes one tries again
_AT_ONCE = 2  # threads that make and remove sandboxes; more only make each other slower


class Pool(Owned):
    r"""Fresh sandboxes, made ahead and ready to run a program at once.

    Each is handed out once, to one user, and thrown away; another is made in the background. What
    died while it waited is never handed out. Safe from threads.

    Args:
        spec: what each sandbox is like; the other arguments override it, as in `isolate.run`.
        size: how many stand ready.
        backend, root, options: as of `Sandbox`.

    Raises IsolateError where a sandbox can't be made.

    >>> with Pool(size=2, memory="64M") as pool:
    ...     pool.run(["echo", "hello"]).stdout
    ...     with pool.take() as box:
    ...         box.write("/tmp/in", "some data")
    ...         box.exec(["wc", "-c", "/tmp/in"]).stdout
    b'hello\n'
    b'9 /tmp/in\n'
    """

    def __init__(
        self,
        spec: Spec | None = None,
        *,
        size: int,
        backend: str = DEFAULT_BACKEND,
        root: str | None = None,
        **options: Unpack[Settings],
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} sandboxes can't hand out any")
        given = options if spec is None else {**options, "spec": spec}
        self._blueprint = Blueprint(given, backend=backend, root=root)
        self._size = size
        self._owner = os.getpid()
        self._changed = threading.Condition()
        self._ready = deque([Sandbox.of(self._blueprint)])  # what can't be made is told here
        self._coming = 0
        self._failures: list[Exception] = []  # to make one, since one could last be made
        self._background = ThreadPoolExecutor(_AT_ONCE, "isolate-pool")
        self._closed = False
        with self._changed:
            self._refill()

    def __len__(self) -> int:
        """How many stand ready now."""
        return len(self._ready)

    def take(self) -> Sandbox:
        """A fresh sandbox, which is the caller's to close; waits until there is one.

        Raises StateError where the pool is closed, IsolateError where no sandbox can be made.
        """
        taken = self._take()
        with self._changed:
            self._refill()
        return taken

    def run(self, args: Sequence[str], **how: Unpack[Execution]) -> Completed:
        """Run one program in a fresh sandbox; arguments, result and errors as of `Sandbox.exec`.

        When the program has ended, what it left running is killed, without waiting for that.
        """
        sandbox, program = self.start(args, how)
        try:
            with program:
                return program.wait()
        finally:
            self.discard(sandbox)

    def start(self, args: Sequence[str], how: Execution) -> tuple[Sandbox, Program]:
        """Begin what `run` does; the sandbox is to be discarded when the program has ended."""
        while True:
            sandbox = self._take()
            try:
                return sandbox, sandbox.start(args, how)
            except BaseException:
                died = not sandbox.alive  # just now: it never took the order, so another may
                self.discard(sandbox)
                if not died:
                    raise
            finally:
                with self._changed:  # not before: the program is on its way while others are made
                    self._refill()

    def discard(self, sandbox: Sandbox) -> None:
        """Throw a used sandbox away, without waiting until all of it is gone."""
        with self._changed:
            if not self._closed:
                self._background.submit(_close, sandbox)
                return
        _close(sandbox)

    def _take(self) -> Sandbox:
        self._check_owner()
        with self._changed:
            known = [*self._failures]
            while True:
                self._check_open()
                while self._ready:
                    found = self._ready.popleft()
                    if found.alive:
                        return found
                    self._background.submit(_close, found)
                if not self._coming and self._failures and self._failures[-1] not in known:
                    raise self._failures[-1]
                self._refill()
                self._changed.wait()

    def _called(self) -> str:
        return "the pool"

    def _refill(self) -> None:
        """Have made what is missing; call it with the lock held."""
        while not self._closed and len(self._ready) + self._coming < self._size:
            self._coming += 1
            self._background.submit(self._make)

    def _make(self) -> None:
        if self._ready:
            time.sleep(_COURTESY)
        try:
            made = Sandbox.of(self._blueprint)
        except Exception as error:  # noqa: BLE001 - whoever waits for one must be told
            self._failed(error)
            return
        with self._changed:
            self._coming -= 1
            self._failures.clear()
            kept = not self._closed
            if kept:
                self._ready.append(made)
            self._changed.notify_all()
        if not kept:
            _close(made)

    def _failed(self, error: Exception) -> None:
        """Tell who waits, and try again after a while: its maker may have been killed."""
        with self._changed:
            self._coming -= 1
            self._failures.append(error)
            self._changed.notify_all()
            if len(self._failures) <= _ATTEMPTS:
                self._changed.wait_for(lambda: self._closed, _PAUSE)
                self._refill()

    def close(self) -> None:
        """Remove all that stand ready and wait until nothing is left of them, nor of those that
        were used; idempotent. Sandboxes that were taken are their takers' to close."""
        if not self._is_ours():
            self.abandon()
            return
        with self._changed:
            if self._closed:
                return
            self._closed = True
            while self._ready:
                self._background.submit(_close, self._ready.popleft())
            self._changed.notify_all()
        self._background.shutdown()

    def abandon(self) -> None:
        """Close it without waiting: in a forked child the sandboxes are the parent's."""
        self._closed = True
        if self._is_ours():
            self._background.shutdown(wait=False)
        while self._ready:
            self._ready.popleft().abandon()


def _close(sandbox: Sandbox) -> None:
    """Close it; nobody is there to be told of one that had died already."""
    try:
        sandbox.close()
    except IsolateError:
        return

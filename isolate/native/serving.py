"""A first process that stays, and executes the programs that it is handed: a sandbox's init.

It stands where a container's program would be: in every namespace and cgroup, its capabilities
dropped, its filter loaded. What it starts inherits all of that, so nothing has to be joined, and a
program starts as fast as a child of any small process. It is not dumpable: nobody inside can trace
it, read its memory or its environment, or open what it has open.
"""

from __future__ import annotations

import _socket
import errno
import os
import select

from isolate.linux import prctl, signals
from isolate.linux.spawn import spawn
from isolate.linux.title import set_title
from isolate.native import init, orders
from isolate.native.process_steps import executable, program_env
from isolate.native.rootfs_steps import Workdir
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from isolate.native.orders import Order
    from isolate.native.step import Child

REQUESTS = "process.requests"  # the prepared descriptor of the socket that orders come from

_CHILD = signals.set_of(signals.SIGCHLD)
_ROUNDS = 64  # of looks for what a killed program has left; above that it forks too fast
_PPID, _SESSION = 1, 3  # proc_pid_stat(5), counted from the state


class Serve(Step):
    """Be pid 1 until nobody gives orders any more."""

    name = "process.serve"
    __slots__ = ("_cwd", "_env")

    def __init__(self, env: Mapping[str, str], cwd: str) -> None:
        self._env = env
        self._cwd = cwd

    def describe(self) -> str:
        return "stay as pid 1: reap orphans, execute the programs that are handed over"

    def run(self, child: Child) -> None:
        prctl.set_dumpable(False)
        set_title("init")
        requests = child.prepared[REQUESTS]
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        child.proc = os.open(".", flags, dir_fd=child.proc)  # ours, whatever is on /proc later
        init.keep_only(requests, child.proc, child.channel.fileno(), streams=True)
        server = _Server(requests, child, {**self._env}, self._cwd)
        server.rehearse()
        child.channel.close()  # so the launcher learns that we stand
        server.serve()


class _Server:
    """The orders that are being carried out."""

    def __init__(self, requests: int, child: Child, env: dict[str, str], cwd: str) -> None:
        self._requests = _socket.socket(fileno=requests)
        self._child = child
        self._env = env
        self._cwd = cwd
        signals.reset_all()  # what is neither caught nor blocked can't reach a pid 1 from inside
        signals.block(_CHILD)
        self._arrivals = signals.signalfd(_CHILD)
        self._answers: dict[int, int] = {}  # descriptor of the answer's socket: the program
        self._cancelled: set[int] = set()
        self._poll = select.poll()
        for descriptor in (requests, self._arrivals):
            self._poll.register(descriptor, select.POLLIN)

    def rehearse(self) -> None:
        """Refuse an order in vain. Our memory is the launcher's until we write to it, and the first
        order would wait while the kernel copies it, page by page."""
        ours, theirs = orders.socket_pair()
        orders.send_order(ours, orders.Order(["/"], {}, None, (theirs.fileno(), 0, 1, 2)))
        self._take(theirs)
        ours.close()  # without a look at the answer: there is none if the child was killed
        theirs.close()

    def serve(self) -> NoReturn:
        """Take orders, reap, and end programs whose caller has gone away."""
        while True:
            ready = {descriptor for descriptor, _events in self._poll.poll()}
            # In this order: to reap closes sockets, and to take an order reuses their numbers.
            for answer in ready & self._answers.keys():
                self._poll.unregister(answer)
                self._cancelled.add(answer)  # its program is killed, and then reaped as any
                self._end(self._answers[answer])
            if self._arrivals in ready:
                signals.read_signals(self._arrivals)
                self._reap()
            if self._requests.fileno() in ready:
                self._take(self._requests)

    def _take(self, requests: _socket.socket) -> None:
        order = orders.receive_order(requests)
        if order is None:
            os._exit(0)
        answer, *streams = order.descriptors
        try:
            self._answers[answer] = self._start(order, streams)
            self._poll.register(answer, select.POLLIN)
        except _RefusedError as refused:
            orders.send_answer(answer, *refused.answer)
            os.close(answer)
        finally:
            for descriptor in streams:
                os.close(descriptor)

    def _start(self, order: Order, streams: list[int]) -> int:
        """Execute a program; its pid. The child shares our memory, which is as undumpable, until it
        has executed (vfork(2))."""
        try:
            Workdir(order.cwd or self._cwd).run(self._child)
        except (OSError, StepError) as error:
            number = getattr(error, "errno", None) or errno.EXDEV
            raise _RefusedError(orders.NO_DIRECTORY, number) from None
        env = program_env(self._child, {**self._env, **order.env})
        args = tuple(order.args)

        def attempt(path: str) -> int:
            os.stat(path)  # a child isn't made in vain for each directory of PATH
            return spawn(path, args, env, streams)

        try:
            return executable(args, env, attempt)
        except OSError as error:
            raise _RefusedError(orders.NO_PROGRAM, error.errno or 0) from None
        finally:
            os.chdir("/")

    def _reap(self) -> None:
        """Reap all that have ended, orphans too; tell how those ended that were ordered."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for answer in [found for found, program in self._answers.items() if program == pid]:
                orders.send_answer(answer, orders.ENDED, status)
                self._forget(answer)

    def _forget(self, answer: int) -> None:
        del self._answers[answer]
        if answer in self._cancelled:
            self._cancelled.remove(answer)
        else:
            self._poll.unregister(answer)
        os.close(answer)

    def _end(self, program: int) -> None:
        """Kill a program with its session and its descendants. One that forks faster than it can
        be killed takes everything in the container with it but us: that has no gaps."""
        killed: set[int] = set()
        for _ in range(_ROUNDS):
            found = {program, *_belonging(self._child.proc, program)} - killed
            if not found:
                return
            for pid in found:
                _kill(pid)
            _kill(-program)
            killed |= found
        _kill(-1)


class _RefusedError(Exception):
    """An order that can't be carried out; `answer` says why."""

    def __init__(self, kind: bytes, number: int) -> None:
        super().__init__()
        self.answer = (kind, number)


def _belonging(proc: int, program: int) -> set[int]:
    """The living processes of a program's session, and what descends from them."""
    parents: dict[int, int] = {}
    found = {program}
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            descriptor = os.open(f"{name}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
            with open(descriptor, "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[0] in (b"Z", b"X"):
            continue
        parents[int(name)] = int(fields[_PPID])
        if int(fields[_SESSION]) == program:
            found.add(int(name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & parents.keys()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signals.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
